package main

import "testing"

func TestTheKeysThatDetachAreFoundAndOthersPassed(t *testing.T) {
	for _, c := range []struct {
		typed  []string
		passed string
		detach bool
	}{
		{[]string{"ls\r"}, "ls\r", false},
		{[]string{"a\x10\x11b"}, "a", true},
		{[]string{"a\x10", "\x11"}, "a", true},
		{[]string{"\x10", "x", "\x11"}, "\x10x\x11", false},
		{[]string{"\x10\x10", "\x11"}, "\x10", true},
	} {
		var d detachKeys
		passed, detached := "", false
		for _, part := range c.typed {
			out, detach := d.pass([]byte(part))
			passed, detached = passed+string(out), detached || detach
		}
		if passed != c.passed || detached != c.detach {
			t.Errorf("%q: %q, %v", c.typed, passed, detached)
		}
	}
}
