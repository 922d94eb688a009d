// Package units reads and writes the values that people type: times, signals,
// resource limits. The words are systemd's, docker's and kill(1)'s.
package units

import (
	"fmt"
	"maps"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/sys/unix"
)

// spans are the units of systemd.time(7), without months and years.
var spans = map[string]time.Duration{
	"": time.Second, "s": time.Second, "sec": time.Second, "second": time.Second, "seconds": time.Second,
	"us": time.Microsecond, "µs": time.Microsecond, "usec": time.Microsecond,
	"ms": time.Millisecond, "msec": time.Millisecond,
	"m": time.Minute, "min": time.Minute, "minute": time.Minute, "minutes": time.Minute,
	"h": time.Hour, "hr": time.Hour, "hour": time.Hour, "hours": time.Hour,
	"d": 24 * time.Hour, "day": 24 * time.Hour, "days": 24 * time.Hour,
	"w": 7 * 24 * time.Hour, "week": 7 * 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
}

// Duration reads a time: "10", "10s", "1min 30s", "1h30m", "0.5s", "500ms". A
// number without a unit is seconds. It isn't negative.
func Duration(s string) (time.Duration, error) {
	wrong := func(why string) (time.Duration, error) {
		return 0, fmt.Errorf("%q is not a time: %s: write 10s, 500ms, 1min 30s or 2h", s, why)
	}
	rest := strings.TrimSpace(s)
	if rest == "" {
		return wrong("it is empty")
	}
	if rest[0] == '-' {
		return wrong("it is negative")
	}
	var total float64
	for rest != "" {
		digits := strings.IndexFunc(rest, func(r rune) bool { return r != '.' && !unicode.IsDigit(r) })
		if digits < 0 {
			digits = len(rest)
		}
		n, err := strconv.ParseFloat(rest[:digits], 64)
		if err != nil {
			return wrong(fmt.Sprintf("a number is missing before %q", rest))
		}
		rest = strings.TrimLeft(rest[digits:], " ")
		letters := strings.IndexFunc(rest, func(r rune) bool { return !unicode.IsLetter(r) })
		if letters < 0 {
			letters = len(rest)
		}
		unit, ok := spans[rest[:letters]]
		if !ok {
			return wrong(fmt.Sprintf("%q is no unit of time", rest[:letters]))
		}
		rest = strings.TrimLeft(rest[letters:], " ")
		total += n * float64(unit)
	}
	if total >= math.MaxInt64 {
		return wrong("it is too long")
	}
	return time.Duration(math.Round(total)), nil
}

// Signal reads a signal: "TERM", "SIGTERM", "term", "15", "RTMIN+1".
func Signal(s string) (syscall.Signal, error) {
	name := strings.TrimPrefix(strings.ToUpper(strings.TrimSpace(s)), "SIG")
	if n, err := strconv.Atoi(name); err == nil {
		if n < 1 || n > maxSignal {
			return 0, fmt.Errorf("%q is no signal: they go from 1 to %d", s, maxSignal)
		}
		return syscall.Signal(n), nil
	}
	if sig := unix.SignalNum("SIG" + name); sig != 0 {
		return sig, nil
	}
	if sig, ok := realtime(name); ok {
		return sig, nil
	}
	return 0, fmt.Errorf("%q is no signal: write TERM, SIGTERM or 15 (kill -l lists them)", s)
}

// SignalNames are the names of all signals but those of realtime, without SIG.
func SignalNames() (names []string) {
	for n := 1; n < rtMin; n++ {
		if name := unix.SignalName(syscall.Signal(n)); name != "" {
			names = append(names, strings.TrimPrefix(name, "SIG"))
		}
	}
	return names
}

// SignalName is the signal as people write it: "SIGTERM", "SIGRTMIN+1".
func SignalName(sig syscall.Signal) string {
	if name := unix.SignalName(sig); name != "" {
		return name
	}
	if sig >= rtMin && sig <= maxSignal {
		if sig == rtMin {
			return "SIGRTMIN"
		}
		return fmt.Sprintf("SIGRTMIN+%d", sig-rtMin)
	}
	return fmt.Sprintf("signal %d", int(sig))
}

// The real-time signals as libc numbers them; it keeps two for itself
// (signal(7)).
const (
	rtMin     = 34
	maxSignal = 64
)

// RealtimeSignals are the signals without a meaning of their own.
func RealtimeSignals() (signals []syscall.Signal) {
	if runtime.GOOS != "linux" {
		return nil
	}
	for s := syscall.Signal(rtMin); s <= maxSignal; s++ {
		signals = append(signals, s)
	}
	return signals
}

func realtime(name string) (syscall.Signal, bool) {
	base, rest := 0, ""
	switch {
	case strings.HasPrefix(name, "RTMIN"):
		base, rest = rtMin, name[len("RTMIN"):]
	case strings.HasPrefix(name, "RTMAX"):
		base, rest = maxSignal, name[len("RTMAX"):]
	default:
		return 0, false
	}
	n := 0
	if rest != "" {
		var err error
		if n, err = strconv.Atoi(rest); err != nil || rest[0] != '+' && rest[0] != '-' {
			return 0, false
		}
	}
	sig := base + n
	return syscall.Signal(sig), sig >= rtMin && sig <= maxSignal
}

// Rlimit reads a resource limit as docker's --ulimit writes it: "nofile=1024",
// "nofile=1024:4096", "core=unlimited".
func Rlimit(s string) (resource int, soft, hard uint64, err error) {
	name, value, ok := strings.Cut(s, "=")
	if !ok {
		return 0, 0, 0, fmt.Errorf("%q is no limit: write nofile=1024 or nofile=1024:4096", s)
	}
	resource, ok = resources[strings.ToLower(strings.TrimPrefix(strings.ToUpper(name), "RLIMIT_"))]
	if !ok {
		return 0, 0, 0, fmt.Errorf("%q is no resource that can be limited: there are %s", name, resourceNames())
	}
	low, high, two := strings.Cut(value, ":")
	if soft, err = limit(low); err != nil {
		return 0, 0, 0, err
	}
	if hard = soft; two {
		if hard, err = limit(high); err != nil {
			return 0, 0, 0, err
		}
	}
	if soft > hard {
		return 0, 0, 0, fmt.Errorf("%q: the soft limit is above the hard one", s)
	}
	return resource, soft, hard, nil
}

func limit(s string) (uint64, error) {
	if s == "unlimited" || s == "infinity" || s == "-1" {
		return math.MaxUint64, nil
	}
	n, err := strconv.ParseUint(s, 10, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no limit: write a number or unlimited", s)
	}
	return n, nil
}

func resourceNames() string { return strings.Join(Resources(), ", ") }

// Resources names what can be limited by Rlimit.
func Resources() []string { return slices.Sorted(maps.Keys(resources)) }

// sizes are the units of docker's --memory: each is 1024 times the one before.
var sizes = []string{"k", "m", "g", "t", "p"}

// Size reads a number of bytes: "4096", "512K", "10M", "1.5G", "2GiB".
func Size(s string) (int64, error) {
	word := strings.TrimSpace(s)
	letters := strings.IndexFunc(word, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
	if letters < 0 {
		letters = len(word)
	}
	n, err := strconv.ParseFloat(word[:letters], 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no size: write 4096, 512K, 10M or 2G", s)
	}
	unit := strings.ToLower(strings.TrimLeft(word[letters:], " "))
	if unit != "" && unit != "b" {
		i := slices.IndexFunc(sizes, func(k string) bool { return unit == k || unit == k+"b" || unit == k+"ib" })
		if i < 0 {
			return 0, fmt.Errorf("%q is no size: %q is no unit of bytes: there are K, M, G, T and P", s, word[letters:])
		}
		n *= math.Pow(1024, float64(i+1))
	}
	if n >= math.MaxInt64 {
		return 0, fmt.Errorf("%q is no size: it is too large", s)
	}
	return int64(math.Round(n)), nil
}

// FormatSize writes a number of bytes so that Size reads it: "10M", "1000".
func FormatSize(n int64) string {
	unit := ""
	for _, next := range sizes {
		if n == 0 || n%1024 != 0 {
			break
		}
		n, unit = n/1024, strings.ToUpper(next)
	}
	return strconv.FormatInt(n, 10) + unit
}

// FormatDuration writes a time so that Duration reads it: "1h30m", "10s", "500ms".
func FormatDuration(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// FormatRlimit writes a limit so that Rlimit reads it.
func FormatRlimit(resource int, soft, hard uint64) string {
	name := strconv.Itoa(resource)
	for n, number := range resources {
		if number == resource {
			name = n
		}
	}
	write := func(limit uint64) string {
		if limit == math.MaxUint64 {
			return "unlimited"
		}
		return strconv.FormatUint(limit, 10)
	}
	if soft == hard {
		return name + "=" + write(soft)
	}
	return name + "=" + write(soft) + ":" + write(hard)
}
