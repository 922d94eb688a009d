package client

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/sys"
)

// impatient shortens the wait for an answer.
func impatient(t *testing.T) {
	was := answerPatience
	answerPatience = 600 * time.Millisecond
	t.Cleanup(func() { answerPatience = was })
}

// Somebody listens and answers nobody, as one that is frozen: its process isn't stopped.
func TestASupervisorThatHangsIsAnError(t *testing.T) {
	impatient(t)
	path := filepath.Join(t.TempDir(), "sock")
	l, err := sys.Listen(path)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, err = DialSocket(path)
	silent, ok := errors.AsType[*NoAnswerError](err)
	if !ok || !errors.Is(err, ErrNoAnswer) || silent.Stopped || silent.PID != os.Getpid() || !strings.Contains(silent.Hint(), "foster explain ") {
		t.Errorf("%v", err)
	}
	// Where so many wait that there is no room for another, its process is told by the lock.
	if err := os.WriteFile(path+".lock", []byte(strconv.Itoa(os.Getpid())+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	full := false
	for range 1000 {
		sock, err := sys.Connect(path)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			full = true
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		defer sock.Close()
	}
	if !full {
		t.Fatal("there is room for any number")
	}
	_, err = DialSocket(path)
	if silent, ok := errors.AsType[*NoAnswerError](err); !ok || silent.PID != os.Getpid() {
		t.Errorf("%v", err)
	}
}
