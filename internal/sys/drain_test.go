package sys_test

import (
	"bytes"
	"errors"
	"testing"

	"github.com/foster-init/foster/internal/sys"
)

// TestDrainDoesNotFollowWhoGoesOnWriting: whatever is read is written again.
func TestDrainDoesNotFollowWhoGoesOnWriting(t *testing.T) {
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	defer w.Close()
	first := bytes.Repeat([]byte("a"), 40000) // more than one read
	if _, err := w.Write(first); err != nil {
		t.Fatal(err)
	}
	var got []byte
	err = sys.Drain(r, func(p []byte) error {
		got = append(got, p...)
		if len(got) > 1<<20 {
			return errors.New("it goes on")
		}
		_, err := w.Write(bytes.Repeat([]byte("b"), len(p)))
		return err
	})
	if err != nil || !bytes.Equal(got, first) {
		t.Errorf("read %d bytes, %v; want the first %d", len(got), err, len(first))
	}
}

func TestDrainOfAPipeThatHoldsNothingReadsNothing(t *testing.T) {
	r, w, err := sys.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	read := func(p []byte) error { return errors.New("read " + string(p)) }
	if err := sys.Drain(r, read); err != nil {
		t.Errorf("with a writer: %v", err)
	}
	w.Close()
	if err := sys.Drain(r, read); err != nil {
		t.Errorf("at its end: %v", err)
	}
}
