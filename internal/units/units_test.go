package units

import (
	"fmt"
	"math"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestDuration(t *testing.T) {
	for s, want := range map[string]time.Duration{
		"10":       10 * time.Second,
		"0":        0,
		"10s":      10 * time.Second,
		"10 s":     10 * time.Second,
		"  10s ":   10 * time.Second,
		"1min 30s": 90 * time.Second,
		"1min30s":  90 * time.Second,
		"1min 30":  90 * time.Second,
		"1h30m":    90 * time.Minute,
		"1h  30m":  90 * time.Minute,
		"0.5s":     time.Second / 2,
		".5s":      time.Second / 2,
		"5.s":      5 * time.Second,
		"1.5h":     90 * time.Minute,
		"500ms":    time.Second / 2,
		"1.001s":   1001 * time.Millisecond, "4.1ms": 4100 * time.Microsecond,
		"20us":              20 * time.Microsecond,
		"20µs":              20 * time.Microsecond,
		"2d":                48 * time.Hour,
		"1week 2days 3hr":   (9*24 + 3) * time.Hour,
		"3 hours 1 minute":  181 * time.Minute,
		"2sec 4msec 6usec":  2*time.Second + 4*time.Millisecond + 6*time.Microsecond,
		"1s 1s":             2 * time.Second,
		"100000d":           100000 * 24 * time.Hour,
		"9223372036s":       9223372036 * time.Second,
		"0000000000000001s": time.Second,
	} {
		if got, err := Duration(s); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", s, got, err, want)
		}
	}
}

func TestDurationRefusesWhatIsNoTime(t *testing.T) {
	for _, s := range []string{
		"", " ", "x", "s", "10parsecs", "10 parsecs", "-5s", "-5", "+5s", "5s-", "1h -5s", "1.2.3s", ".", ".s",
		"10S", "10M", "1month", "1y", "0x10s", "1e3s", "1_000s", "1,5s", "10s;", "10\x00", "\xff", "٣s", "inf", "nan",
		"106752d", "9223372036.854775807s", "9223372037s", "1e400", strings.Repeat("9", 400), "100000d 100000d",
	} {
		if got, err := Duration(s); err == nil || got != 0 {
			t.Errorf("%q: got %v, %v; want an error", s, got, err)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("%q", s)) {
			t.Errorf("%q isn't named by %q", s, err)
		}
	}
}

func FuzzDuration(f *testing.F) {
	for _, s := range []string{"1min 30s", "1h30m", "0.5s", "", "-5s", "99999999999d"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d, err := Duration(s)
		if err != nil {
			if d != 0 {
				t.Errorf("%q: got %v with %v", s, d, err)
			}
			return
		}
		if d < 0 {
			t.Fatalf("%q is %v", s, d)
		}
		// Twice the words are twice the time, to what a float64 can hold.
		again, err := Duration(strings.TrimSpace(s) + " " + strings.TrimSpace(s))
		if err != nil {
			if d <= math.MaxInt64/2 {
				t.Errorf("%q is %v, but twice that is %v", s, d, err)
			}
			return
		}
		if off := math.Abs(float64(again)/2 - float64(d)); off > 1+float64(d)/1e12 {
			t.Errorf("%q is %v, but twice that is %v", s, d, again)
		}
	})
}

func TestSignal(t *testing.T) {
	for s, want := range map[string]syscall.Signal{
		"TERM": syscall.SIGTERM, "SIGTERM": syscall.SIGTERM, "sigterm": syscall.SIGTERM, "term": syscall.SIGTERM,
		"Term": syscall.SIGTERM, " TERM ": syscall.SIGTERM, "15": syscall.SIGTERM, "1": syscall.SIGHUP,
		"KILL": syscall.SIGKILL, "9": syscall.SIGKILL, "usr1": syscall.SIGUSR1,
		"RTMIN": 34, "SIGRTMIN": 34, "RTMIN+0": 34, "RTMIN+1": 35, "rtmin+1": 35, "sigrtmin+30": 64,
		"RTMAX": 64, "SIGRTMAX": 64, "RTMAX-1": 63, "RTMAX-30": 34, "RTMAX-0": 64, "32": 32, "64": 64,
	} {
		if got, err := Signal(s); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", s, got, err, want)
		}
	}
}

func TestSignalRefusesWhatIsNone(t *testing.T) {
	for _, s := range []string{
		"", " ", "0", "65", "-1", "-15", "FOO", "SIG", "SIGFOO", "TERM1", "T ERM", "15.0", "0x0f", "99999999999999999999",
		"RTMIN-1", "RTMIN+31", "RTMAX+1", "RTMAX-31", "RTMIN+", "RTMIN1", "RTMIN++1", "RTMIN+x", "RTMINX", "RTMID",
		"RTMIN+9223372036854775807", "RTMAX-9223372036854775807", "RTMIN+99999999999999999999", "\xff", "TERM\x00",
	} {
		if got, err := Signal(s); err == nil || got != 0 {
			t.Errorf("%q: got %d, %v; want an error", s, got, err)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("%q", s)) {
			t.Errorf("%q isn't named by %q", s, err)
		}
	}
}

func TestSignalReadsEachNameThatItWrites(t *testing.T) {
	var nameless []int
	for sig := syscall.Signal(1); sig <= maxSignal; sig++ {
		name := SignalName(sig)
		if !strings.HasPrefix(name, "SIG") {
			nameless = append(nameless, int(sig))
			continue
		}
		for _, s := range []string{name, strings.ToLower(name), strings.TrimPrefix(name, "SIG"), fmt.Sprint(int(sig))} {
			if got, err := Signal(s); err != nil || got != sig {
				t.Errorf("signal %d is written %q, and that is read as %d, %v", sig, s, got, err)
			}
		}
	}
	// Two are libc's own, and have no name.
	if runtime.GOOS == "linux" && !slices.Equal(nameless, []int{32, 33}) {
		t.Errorf("without a name are %v", nameless)
	}
}

func TestSignalName(t *testing.T) {
	for sig, want := range map[syscall.Signal]string{
		syscall.SIGTERM: "SIGTERM", syscall.SIGKILL: "SIGKILL",
		34: "SIGRTMIN", 35: "SIGRTMIN+1", 64: "SIGRTMIN+30",
		0: "signal 0", 65: "signal 65", -1: "signal -1",
	} {
		if got := SignalName(sig); got != want {
			t.Errorf("signal %d is written %q, not %q", int(sig), got, want)
		}
	}
}

func TestRealtimeSignalsAreThoseOfTheSystem(t *testing.T) {
	list := RealtimeSignals()
	if runtime.GOOS != "linux" {
		if list != nil {
			t.Errorf("got %v", list)
		}
		return
	}
	if len(list) != 31 || list[0] != rtMin || list[30] != maxSignal {
		t.Errorf("got %v", list)
	}
}

func FuzzSignal(f *testing.F) {
	for _, s := range []string{"TERM", "sigterm", "15", "RTMIN+1", "RTMAX-3", "RTMIN+", "0", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		sig, err := Signal(s)
		if err != nil {
			if sig != 0 {
				t.Errorf("%q: got %d with %v", s, sig, err)
			}
			return
		}
		if sig < 1 || sig > maxSignal {
			t.Errorf("%q is signal %d", s, sig)
		}
	})
}

func TestRlimit(t *testing.T) {
	const unlimited = math.MaxUint64
	for _, tt := range []struct {
		s          string
		resource   int
		soft, hard uint64
	}{
		{"nofile=1024", unix.RLIMIT_NOFILE, 1024, 1024},
		{"nofile=1024:4096", unix.RLIMIT_NOFILE, 1024, 4096},
		{"NOFILE=1:1", unix.RLIMIT_NOFILE, 1, 1},
		{"RLIMIT_NOFILE=1", unix.RLIMIT_NOFILE, 1, 1},
		{"rlimit_nofile=1", unix.RLIMIT_NOFILE, 1, 1},
		{"core=0", unix.RLIMIT_CORE, 0, 0},
		{"core=unlimited", unix.RLIMIT_CORE, unlimited, unlimited},
		{"core=infinity", unix.RLIMIT_CORE, unlimited, unlimited},
		{"core=-1", unix.RLIMIT_CORE, unlimited, unlimited},
		{"core=0:unlimited", unix.RLIMIT_CORE, 0, unlimited},
		{"cpu=0:-1", unix.RLIMIT_CPU, 0, unlimited},
		{"stack=18446744073709551615", unix.RLIMIT_STACK, unlimited, unlimited},
	} {
		resource, soft, hard, err := Rlimit(tt.s)
		if err != nil || resource != tt.resource || soft != tt.soft || hard != tt.hard {
			t.Errorf("%q: got %d, %d, %d, %v", tt.s, resource, soft, hard, err)
		}
	}
}

func TestRlimitRefusesWhatIsNone(t *testing.T) {
	for _, s := range []string{
		"", "nofile", "nofile=", "=1", "=", "nofile=x", "nofile=1:", "nofile=:1", "nofile=1:x", "nofile=1:2:3",
		"nofile=4096:1024", "nofile=unlimited:1024", "nofile=-2", "nofile=1.5", "nofile=1k", "nofile= 1", " nofile=1",
		"nofile=18446744073709551616", "files=1", "nofile=1=2", "RLIMIT_=1", "nofile\x00=1",
	} {
		if resource, soft, hard, err := Rlimit(s); err == nil {
			t.Errorf("%q: got %d, %d, %d; want an error", s, resource, soft, hard)
		}
	}
}

func TestRlimitNamesTheResourcesThereAre(t *testing.T) {
	_, _, _, err := Rlimit("files=1")
	for name := range resources {
		if err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%q isn't named by %v", name, err)
		}
		if resource, soft, hard, err := Rlimit(name + "=1:2"); err != nil || resource != resources[name] || soft != 1 || hard != 2 {
			t.Errorf("%q: got %d, %d, %d, %v", name, resource, soft, hard, err)
		}
	}
}

func FuzzRlimit(f *testing.F) {
	for _, s := range []string{"nofile=1024", "nofile=1024:4096", "core=unlimited", "RLIMIT_CPU=-1", "=", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		resource, soft, hard, err := Rlimit(s)
		if err != nil {
			return
		}
		if soft > hard {
			t.Errorf("%q: %d is above %d", s, soft, hard)
		}
		for name, r := range resources {
			if r == resource {
				if again, low, high, err := Rlimit(fmt.Sprintf("%s=%d:%d", name, soft, hard)); err != nil || again != r || low != soft || high != hard {
					t.Errorf("%q: %d, %d, %d became %d, %d, %d, %v", s, r, soft, hard, again, low, high, err)
				}
			}
		}
	})
}

func TestSize(t *testing.T) {
	for s, want := range map[string]int64{
		"0": 0, "4096": 4096, "1b": 1, "1B": 1, "512K": 512 << 10, "512k": 512 << 10, "512KB": 512 << 10, "512KiB": 512 << 10,
		"10M": 10 << 20, "10 M": 10 << 20, "1.5G": 3 << 29, "2GiB": 2 << 30, "1T": 1 << 40, "1p": 1 << 50, " 1M ": 1 << 20,
	} {
		if got, err := Size(s); err != nil || got != want {
			t.Errorf("%q: got %v, %v; want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"", " ", "M", "-1", "+1M", "1X", "1MM", "1bb", "1ib", "i", "1 M M", "1e3", "9999999P", "inf", "nan", "0x10", "\xff"} {
		if got, err := Size(s); err == nil || got != 0 {
			t.Errorf("%q: got %v, %v; want an error", s, got, err)
		} else if !strings.Contains(err.Error(), fmt.Sprintf("%q", s)) {
			t.Errorf("%q isn't named by %q", s, err)
		}
	}
}

func TestWhatIsFormattedIsReadAgain(t *testing.T) {
	for d, want := range map[time.Duration]string{0: "0s", time.Hour: "1h", 90 * time.Minute: "1h30m", 30 * 24 * time.Hour: "720h", 61 * time.Second: "1m1s", 10 * time.Minute: "10m", 500 * time.Millisecond: "500ms", 3601 * time.Second: "1h0m1s", 1500 * time.Microsecond: "1.5ms", 1: "1ns"} {
		if got := FormatDuration(d); got != want {
			t.Errorf("%v is written %q, not %q", d, got, want)
		}
		if again, err := Duration(FormatDuration(d)); d != 1 && (err != nil || again != d) {
			t.Errorf("%v: got %v, %v", d, again, err)
		}
	}
	for n, want := range map[int64]string{0: "0", 1: "1", 1000: "1000", 1024: "1K", 10 << 20: "10M", 3 << 29: "1536M", 1 << 62: "4096P"} {
		if got := FormatSize(n); got != want {
			t.Errorf("%v is written %q, not %q", n, got, want)
		}
		if again, err := Size(want); err != nil || again != n {
			t.Errorf("%q: got %v, %v", want, again, err)
		}
	}
	for _, s := range []string{"nofile=1024:4096", "core=0", "cpu=unlimited", "stack=1:unlimited"} {
		resource, soft, hard, err := Rlimit(s)
		if got := FormatRlimit(resource, soft, hard); err != nil || got != s {
			t.Errorf("%q is written %q, %v", s, got, err)
		}
	}
}

func FuzzSize(f *testing.F) {
	for _, s := range []string{"4096", "1.5G", "2 GiB", "0.0000001k", "9223372036854775807", "8388608T", ".", "1e3", "", "-1", "٣"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := Size(s)
		if err != nil {
			if n != 0 || !strings.Contains(err.Error(), fmt.Sprintf("%q", s)) {
				t.Errorf("%q: got %d, %v", s, n, err)
			}
			return
		}
		if n < 0 {
			t.Fatalf("%q is %d", s, n)
		}
		again, err := Size(FormatSize(n))
		if off := math.Abs(float64(again) - float64(n)); err != nil && n < math.MaxInt64-1024 || off > float64(n)/(1<<52) {
			t.Errorf("%q is %d, which is written as %s, and that is %d, %v", s, n, FormatSize(n), again, err)
		}
	})
}
