package foster_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/leaktest"
)

// The tests in this file are about pipes that are read without a writer of foster's.

// counted is what the role count writes.
func counted(count int) string {
	var b strings.Builder
	for i := range count {
		fmt.Fprintf(&b, "line %d of an output that is long enough to fill a pipe\n", i)
	}
	return b.String()
}

// forgetKept has what the journal keeps of the tree named kept removed at the end of the
// test.
func forgetKept(t *testing.T) {
	t.Helper()
	folder, _, err := journal.Folders()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, name := range []string{"kept.tree", "kept.stdout", "kept.stderr"} {
			if err := os.Remove(filepath.Join(folder, name)); err != nil && !errors.Is(err, os.ErrNotExist) {
				t.Error(err)
			}
		}
	})
}

// readAll reads a pipe of a tree to its end, and closes it.
func readAll(t *testing.T, f *os.File) string {
	t.Helper()
	if f == nil {
		t.Fatal("there is no pipe")
	}
	defer f.Close()
	if err := f.SetReadDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(f)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

func TestPipesHaveAllAfterTheEndOfTheTree(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		forgetKept(t)
		cmd := foster.Command("sh", "-c", "echo out; echo err >&2")
		cmd.Containment, cmd.ID = c, "kept"
		cmd.KeepOutput, cmd.KeepExit, cmd.Pipes = true, true, true
		tree, err := cmd.Start()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tree.Wait(); err != nil { // it doesn't wait for who reads
			t.Error(err)
		}
		stdout, stderr := tree.Pipes()
		if out, errs := readAll(t, stdout), readAll(t, stderr); out != "out\n" || errs != "err\n" {
			t.Errorf("read %q and %q", out, errs)
		}
		if stdout, stderr := tree.Pipes(); stdout != nil || stderr != nil {
			t.Error("the pipes were given twice")
		}
		if kept := savedOutput(t); kept != "" {
			t.Errorf("%q was kept as well", kept)
		}
	})
}

// savedOutput is what the journal has of the standard output of the tree named kept.
func savedOutput(t *testing.T) string {
	t.Helper()
	folder, _, err := journal.Folders()
	if err != nil {
		t.Fatal(err)
	}
	file, err := journal.OpenOutput(folder, "kept", 1)
	if err != nil {
		t.Fatal(err)
	}
	if file == nil {
		return ""
	}
	return readAllOf(t, file)
}

func readAllOf(t *testing.T, file *os.File) string {
	defer file.Close()
	b, err := io.ReadAll(file)
	if err != nil {
		t.Error(err)
	}
	return string(b)
}

// readInPart has a program read a part of what a tree writes, and kills it. It returns
// the part, and the leader.
func readInPart(t *testing.T, c foster.Containment, terms string, count int, then string) (part string, leader int) {
	t.Helper()
	forgetKept(t)
	path := filepath.Join(t.TempDir(), "part")
	cmd, out, leader := keep(t, c, terms+",pipes="+path, "count", fmt.Sprint(count), then)
	if said := out.next("has read "); said != "<nil>" {
		t.Fatal(said)
	}
	killed(t, cmd)
	b, err := os.ReadFile(path)
	if err != nil || len(b) != partRead {
		t.Fatalf("it had read %d bytes, %v", len(b), err)
	}
	return string(b), leader
}

func TestWhoAttachesReadsOnWhereTheOwnerWasKilled(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		const count = 50_000 // more than a pipe holds
		part, _ := readInPart(t, c, "grace=1m,exit", count, "0")
		tree := attach(t, foster.WithPipes())
		stdout, stderr := tree.Pipes()
		if got := part + readAll(t, stdout); got != counted(count) {
			t.Errorf("of %d bytes %d were read, or others", len(counted(count)), len(got))
		}
		if errs := readAll(t, stderr); errs != "" {
			t.Errorf("on standard error: %q", errs)
		}
		if exit, err := tree.Wait(); err != nil {
			t.Errorf("exit %+v, %v", exit, err)
		}
		if kept := savedOutput(t); kept != "" {
			t.Errorf("%d bytes were kept as well", len(kept))
		}
	})
}

func TestTheRestOfWhatHasEndedIsReadByWhoAttaches(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		const count = 2_400 // its rest fits a pipe, also the small one of a user who has many: it ends unread
		part, leader := readInPart(t, c, "grace=1m,exit", count, "asked")
		if err := syscall.Kill(leader, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		awaitDone(t)
		tree := attach(t, foster.WithPipes())
		exit, err := tree.Wait()
		if err != nil || exit.Cause != foster.CauseEnded {
			t.Errorf("exit %+v, %v", exit, err)
		}
		stdout, stderr := tree.Pipes()
		stderr.Close()
		if got := part + readAll(t, stdout); got != counted(count) {
			t.Errorf("of %d bytes %d were read, or others", len(counted(count)), len(got))
		}
		if kept := savedOutput(t); kept != "" {
			t.Errorf("%d bytes were kept as well", len(kept))
		}
	})
}

func TestTheRestIsKeptWhereNobodyAttachesInTime(t *testing.T) {
	in(t, all, func(t *testing.T, c foster.Containment) {
		const count = 2_400
		part, _ := readInPart(t, c, "grace=50ms,exit", count, "asked")
		folder, _, err := journal.Folders()
		if err != nil {
			t.Fatal(err)
		}
		leaktest.Eventually(t, "its end is kept, and nothing holds it", func() bool {
			f, err := journal.Find(folder, "kept")
			return err == nil && f.State == journal.Ended
		})
		if got := part + savedOutput(t); got != counted(count) {
			t.Errorf("of %d bytes %d were read or kept, or others", len(counted(count)), len(got))
		}
		if _, err := foster.Attach(context.Background(), "kept", foster.WithPipes()); !errors.Is(err, foster.ErrEnded) {
			t.Errorf("attached to what has ended: %v", err)
		}
	})
}

func TestNobodyElseReadsPipesThatAreRead(t *testing.T) {
	in(t, all[:1], func(t *testing.T, c foster.Containment) {
		tree, _ := begin(t, c, func(cmd *foster.Cmd) {
			cmd.ID, cmd.Grace, cmd.Stdout, cmd.Stderr = "kept", time.Minute, nil, nil
			cmd.KeepOutput, cmd.Pipes = true, true
		}, "block")
		client := dial(t, "kept")
		if _, err := client.Output(); !errors.Is(err, syscall.EBUSY) {
			t.Errorf("read by a guest as well: %v", err)
		}
		stop(t, tree)
		stdout, stderr := tree.Pipes()
		stdout.Close()
		stderr.Close()
	})
}
