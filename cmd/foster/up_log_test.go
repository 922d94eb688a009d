package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

func TestTheLogOfADaemonStaysShort(t *testing.T) {
	path := filepath.Join(t.TempDir(), logName)
	file, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	l := &ownLog{file, path}
	line := func(n int) []byte { return fmt.Appendf(nil, "%09d%s\n", n, bytes.Repeat([]byte("."), 1014)) }
	const lines = 5000
	for n := range lines {
		if _, err := l.Write(line(n)); err != nil {
			t.Fatal(err)
		}
	}
	old, err := os.ReadFile(path + ".1")
	if err != nil {
		t.Fatal(err)
	}
	young, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	all := append(old, young...)
	if len(old) > longestLog+2048 || len(young) > longestLog+2048 {
		t.Errorf("%d and %d bytes", len(old), len(young))
	}
	for n := lines - len(all)/1024; n < lines; n++ { // the newest are there, without a gap
		if !bytes.HasPrefix(all, line(n)) {
			t.Fatalf("%q isn't line %d", all[:min(20, len(all))], n)
		}
		all = all[1024:]
	}
}
