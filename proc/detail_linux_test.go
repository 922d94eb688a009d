package proc

import (
	"strings"
	"testing"
)

func TestLockedMemoryIsReadFromStatus(t *testing.T) {
	for status, want := range map[string]uint64{
		"Name:\tx\nVmSize:\t    8 kB\nVmLck:\t      12 kB\nVmPin:\t 0 kB\n": 12,
		"Name:\tx\nVmLck:\t0 kB\n":  0,
		"Name:\tVmLck: 7 kB\n":      0,
		"Name:\tx\nVmLck:":          0,
		"Name:\tx\nVmLck:\t-1 kB\n": 0,
		"":                          0,
	} {
		if got, ok := kilobytes([]byte(status), "\nVmLck:"); ok != (want > 0 || strings.Contains(status, "0 kB")) || got != want {
			t.Errorf("%q: %d, want %d", status, got, want)
		}
	}
}
