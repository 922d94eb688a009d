package procfs

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"syscall"
	"testing"
)

const status = "Name:\ta\\nUid:\t7\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t10\nPid:\t10\nPPid:\t1\nTracerPid:\t5\n" +
	"Uid:\t1000\t0\t1\t2\nGid:\t100\t101\t102\t103\nNSpid:\t10\t3\t1\nKthread:\t1\nVmSwap:\t     12 kB\n" +
	"SigPnd:\t0000000000000001\nShdPnd:\t0000000000000100\nSigBlk:\t0000000000010000\n" +
	"SigIgn:\t0000000000000004\nSigCgt:\tffffffffffffffff\n"

func TestParseStatus(t *testing.T) {
	got, err := ParseStatus([]byte(status))
	want := Status{
		RealUID: 1000, UID: 0, SavedUID: 1, RealGID: 100, GID: 101, Tracer: 5, NSPids: []int{10, 3, 1},
		Pending: 1, SharedPending: 1 << 8, Blocked: 1 << 16, Ignored: 4, Caught: 1<<64 - 1, SwapKB: 12, Kernel: true,
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v\nwant %+v", got, err, want)
	}
	for _, bad := range []string{"", "Uid:\n", "Uid:\t1\t2\n", "Uid:\tx\t1\t1\n", "Uid:\t-1\t-1\t-1\n", status + "SigIgn:\tz\n", status + "NSpid:\tx\n"} {
		if got, err := ParseStatus([]byte(bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: %+v, %v", bad, got, err)
		}
	}
}

func FuzzParseStatus(f *testing.F) {
	f.Add([]byte(status))
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := ParseStatus(b); err == nil && s.UID < 0 {
			t.Errorf("%+v", s)
		}
	})
}

func TestParseCgroup(t *testing.T) {
	for content, want := range map[string]string{
		"0::/system.slice/a.service\n": "/system.slice/a.service",
		"0::/\n":                       "/",
		"9:name=systemd:/user.slice\n8:pids:/x\n0::/\n": "/user.slice",
		"0::/a:b\n":                               "/a:b",
		"9:name=systemd:/\n0::/init.scope\n":      "/init.scope",
		"9:name=systemd:/v1\n8:pids:/x\n0::/v2\n": "/v1",
		"0::/docker/abc (deleted)\n":              "/docker/abc (deleted)",
	} {
		if got, ok := ParseCgroup([]byte(content)); !ok || got != want {
			t.Errorf("%q: got %q, %t", content, got, ok)
		}
	}
	for _, content := range []string{"", "8:pids:/x\n", "0:\n"} {
		if got, ok := ParseCgroup([]byte(content)); ok {
			t.Errorf("%q: got %q", content, got)
		}
	}
}

func FuzzParseCgroup(f *testing.F) {
	f.Add([]byte("9:name=systemd:/\n0::/init.scope\n"))
	f.Add([]byte("0::/a:b\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		path, ok := ParseCgroup(b)
		if !ok {
			return
		}
		if strings.Contains(path, "\n") || !bytes.Contains(b, []byte(path)) {
			t.Fatalf("got %q", path)
		}
		if again, ok := ParseCgroup([]byte("0::" + path + "\n")); !ok || again != path {
			t.Errorf("%q became %q, %t", path, again, ok)
		}
	})
}

func TestParseExecStart(t *testing.T) {
	const head = "sh (17466, #threads: 1)\n-----\n"
	got, ok := ParseExecStart([]byte(head + "se.exec_start                                :      16793000.894002\nse.vruntime : 1.0\n"))
	if !ok || got != 16793000894002 {
		t.Errorf("got %d, %t", got, ok)
	}
	for _, bad := range []string{"", head, head + "se.exec_start\n", head + "se.exec_start : x\n", head + "se.exec_start : 1.5\n",
		head + "se.exec_start : -1.000000\n", head + "se.exec_start : 99999999999999999.000000\n"} {
		if got, ok := ParseExecStart([]byte(bad)); ok {
			t.Errorf("%q: got %d", bad, got)
		}
	}
}

func FuzzParseExecStart(f *testing.F) {
	f.Add([]byte("\nse.exec_start : 16793000.894002\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, ok := ParseExecStart(b)
		if !ok {
			return
		}
		text := fmt.Sprintf("\nse.exec_start : %d.%06d\n", n/1e6, n%1e6)
		if again, ok := ParseExecStart([]byte(text)); !ok || again != n {
			t.Errorf("%q became %d, %t", text, again, ok)
		}
	})
}

const heading = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"

func TestParseSockets(t *testing.T) {
	if binary.NativeEndian.Uint16([]byte{1, 0}) != 1 {
		return // the lines are of a little-endian machine
	}
	const lines = "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1214 1 0000000062900c9e 100 0 0 10 0\n" +
		"   1: 00000000000000000000000001000000:0035 00000000000000000000000000000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 99 2 0 0\n"
	got, err := ParseSockets([]byte(heading + lines))
	want := []Socket{
		{netip.MustParseAddrPort("127.0.0.1:8080"), netip.MustParseAddrPort("0.0.0.0:0"), TCPListen, 1000, 1214},
		{netip.MustParseAddrPort("[::1]:53"), netip.MustParseAddrPort("[::]:0"), UDPBound, 0, 99},
	}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, bad := range []string{"x\n", lines[:40], "0: 1:1 1:1 0A 0 0 0 0 0 0\n", "0: 0100007F:1F90 00000000:0000 0A 0 0 0 -1 0 1\n"} {
		if got, err := ParseSockets([]byte(heading + bad)); !errors.Is(err, ErrMalformed) {
			t.Errorf("%q: got %+v, %v", bad, got, err)
		}
	}
}

func FuzzParseSockets(f *testing.F) {
	f.Add([]byte(heading + "   0: 0100007F:1F90 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 1214 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		list, _ := ParseSockets(b)
		for _, s := range list {
			if !s.Local.Addr().IsValid() || s.UID < 0 {
				t.Errorf("%+v", s)
			}
		}
	})
}

func TestNamesOfTerminals(t *testing.T) {
	drivers := ParseTTYDrivers([]byte(`/dev/tty             /dev/tty        5       0 system:/dev/tty
/dev/console         /dev/console    5       1 system:console
serial               /dev/ttyS       4 64-95 serial
serial               /dev/ttyAMA   204 64-77 serial
hvc                  /dev/hvc      229 0-7 system
pty_slave            /dev/pts      136 0-1048575 pty:slave
unknown              /dev/tty        4 1-63 console
nonsense
`))
	for name, dev := range map[string][2]uint32{
		"console": {5, 1}, "tty": {5, 0}, "ttyS0": {4, 64}, "ttyS3": {4, 67}, "tty1": {4, 1}, "hvc0": {229, 0}, "pts/7": {136, 7},
		"ttyAMA0": {204, 64},
	} {
		got := ""
		for _, d := range drivers {
			if d.Major == dev[0] && dev[1] >= d.First && dev[1] <= d.Last {
				got = d.Name(dev[1])
			}
		}
		if got != name {
			t.Errorf("%v is %q, not %q", dev, got, name)
		}
	}
}

func FuzzParseTTYDrivers(f *testing.F) {
	f.Add([]byte("serial /dev/ttyS 4 64-95 serial\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, d := range ParseTTYDrivers(b) {
			_ = d.Name(d.Last)
		}
	})
}

func TestASignalIsHeededWhereItIsCaughtOrBlocked(t *testing.T) {
	for masks, want := range map[string][2]bool{
		"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000001\n": {true, false},
		"SigBlk:\t0000000000000001\nSigIgn:\t0000000000000000\nSigCgt:\t0000000000000000\n": {true, false},
		"SigBlk:\t0000000000000000\nSigIgn:\t0000000000000001\nSigCgt:\t0000000000004002\n": {false, true},
		"SigBlk:\t0000000000000002\nSigIgn:\t0000000000000000\nSigCgt:\tfffffffffffffffe\n": {false, false},
	} {
		s, err := ParseStatus([]byte("Uid:\t0\t0\t0\t0\nGid:\t0\t0\t0\t0\n" + masks))
		if got := [2]bool{s.Heeds(syscall.SIGHUP), s.Ignores(syscall.SIGHUP)}; err != nil || got != want {
			t.Errorf("%q: heeds, ignores: %v, %v, want %v", masks, got, err, want)
		}
	}
}
