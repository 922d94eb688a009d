package foster_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/foster-init/foster"
)

// Applications that live by a clock: leases, watchdogs, owners that come and go.
func init() {
	roles["keeper"] = roleKeeper
	roles["claimant"] = roleClaimant
	roles["count"] = roleCount
	roles["signals"] = roleSignals
	roles["tells"] = roleTells
	roles["calls"] = roleCalls
	roles["run"] = roleRun
	roles["stranger"] = roleStranger
	roles["recover"] = roleRecover
	roles["guest"] = roleGuest
}

// roleKeeper owns a tree and reads nothing of its output: its first argument is a list
// of terms, the rest a role.
func roleKeeper(args []string) {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	name, argv := role(args[1:]...)
	cmd := foster.CommandContext(ctx, name, argv...)
	var read string
	var canceled bool
	for term := range strings.SplitSeq(args[0], ",") {
		key, value, _ := strings.Cut(term, "=")
		d, _ := time.ParseDuration(value) // of those that are one
		switch key {
		case "in":
			cmd.Containment = foster.Containment(value)
		case "id":
			cmd.ID = value
		case "grace":
			cmd.Grace = d
		case "lease":
			cmd.Lease.Time = d
		case "owner":
			cmd.Owner = mustAtoi(value)
		case "stop":
			cmd.Stop.Timeout = d
		case "own":
			cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
		case "keep":
			cmd.KeepOutput = true
		case "pipes": // a part of what it writes is read to this file
			cmd.KeepOutput, cmd.Pipes, read = true, true, value
		case "exit":
			cmd.KeepExit = true
		case "confirm": // which it never does
			cmd.ConfirmEnd = true
		case "cancel":
			canceled = true
		case "pids":
			cmd.Limits = foster.Limits{PIDs: int64(mustAtoi(value)), Memory: 64 << 20}
		case "socket": // which is handed over, and kept
			f, address, err := listening()
			if err != nil {
				say("error %v", err)
				os.Exit(1)
			}
			cmd.ExtraFiles, cmd.ListenNames, cmd.Keep = []*os.File{f}, []string{"http"}, []*os.File{f}
			say("socket %s", address)
		case "copy": // by a pipe of foster's, all that it reads goes on at once
			cmd.Stdout = passOn{}
		}
	}
	tree, err := cmd.Start()
	if err != nil {
		say("error %v", err)
		os.Exit(1)
	}
	say("shim %d leader %d", foster.ShimPID(tree), tree.Leader())
	if canceled {
		cancel()
	}
	if read != "" {
		readPart(tree, read)
	}
	exit, err := tree.Wait()
	say("kept to its end: cause %s, leader %v, %v", exit.Cause, exit.Leader, err)
}

// partRead is how much readPart reads: not to the end of a line.
const partRead = 100_003

// readPart reads some of a tree's output, as one does who is killed then.
func readPart(tree *foster.Tree, path string) {
	stdout, _ := tree.Pipes()
	file, err := os.Create(path)
	if err == nil {
		_, err = io.CopyN(file, stdout, partRead)
	}
	say("has read %v", err)
}

// passOn writes to standard output, and isn't a file that could be handed over.
type passOn struct{}

func (passOn) Write(p []byte) (int, error) { return os.Stdout.Write(p) }

// roleClaimant attaches to a tree, says whether it could, and holds it till it's killed.
func roleClaimant(args []string) {
	var out bytes.Buffer
	tree, err := foster.Attach(context.Background(), args[0], foster.WithOutput(&out, nil))
	if err != nil {
		say("refused owned=%v %v", errors.Is(err, foster.ErrOwned), err)
		return
	}
	say("claimed %d", os.Getpid())
	exit, _ := tree.Wait()
	say("ended %s", exit.Cause)
}

// roleCount writes numbered lines, and says on standard error that it has; then it
// exits with a status, or goes on. Its arguments: how many, and what follows.
func roleCount(args []string) {
	ends := make(chan os.Signal, 1)
	if args[1] == "asked" {
		signal.Notify(ends, syscall.SIGTERM)
	}
	w := bufio.NewWriterSize(os.Stdout, 4096)
	for i := range mustAtoi(args[0]) {
		fmt.Fprintf(w, "line %d of an output that is long enough to fill a pipe\n", i)
	}
	if err := w.Flush(); err != nil {
		fmt.Fprintln(os.Stderr, "error", err)
		os.Exit(99)
	}
	switch args[1] {
	case "stay":
		forever()
	case "asked": // it has written all before it ends
		<-ends
		os.Exit(0)
	}
	os.Exit(mustAtoi(args[1]))
}

// roleSignals says which signals it gets, and ends by SIGTERM alone. With an argument it
// has a child that does likewise.
func roleSignals(args []string) {
	got := make(chan os.Signal, 10)
	signal.Notify(got, syscall.SIGTERM, syscall.SIGWINCH)
	if len(args) > 0 {
		start(nil, nil, "signals")
	}
	say("signals %d", os.Getpid())
	for s := range got {
		say("got %d %d", os.Getpid(), s)
		if s == syscall.SIGTERM {
			return
		}
	}
}

// notifier is the service's side of sd_notify(3).
func notifier() net.Conn {
	conn, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET"))
	if err != nil {
		say("error %v", err)
		os.Exit(1)
	}
	return conn
}

// roleTells sends each argument as one datagram, a line for each comma, and stays. After
// "later" it says where it will, and waits for the end of its input.
func roleTells(args []string) {
	conn := notifier()
	if args[0] == "later" {
		args = args[1:]
		say("at %s", os.Getenv("NOTIFY_SOCKET"))
		_, _ = io.Copy(io.Discard, os.Stdin) // its end is what matters
	}
	for _, text := range args {
		if _, err := conn.Write([]byte(strings.ReplaceAll(text, ",", "\n"))); err != nil {
			say("error %v", err)
		}
	}
	say("told %d", os.Getpid())
	forever()
}

// roleCalls calls its watchdog in time, as often as its argument says, and then no more.
func roleCalls(args []string) {
	conn := notifier()
	usec, err := strconv.Atoi(os.Getenv("WATCHDOG_USEC"))
	if err != nil {
		say("error WATCHDOG_USEC: %v", err)
	}
	for range mustAtoi(args[0]) {
		<-time.After(time.Duration(usec) * time.Microsecond / 8)
		if _, err := conn.Write([]byte("WATCHDOG=1")); err != nil {
			say("error %v", err)
		}
	}
	say("called %s", args[0])
	forever()
}

// roleRun runs a program, says what became of it, and stays.
func roleRun(args []string) {
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	say("ran %v", cmd.Run())
	forever()
}

// roleStranger is a process outside of the tree that sends to its socket, and lives on.
func roleStranger(args []string) {
	conn, err := net.Dial("unixgram", args[0])
	if err == nil {
		_, err = conn.Write([]byte("READY=1\nSTATUS=forged"))
	}
	say("sent %v", err)
	forever()
}

// roleGuest connects to the socket of a tree, and says what it got.
func roleGuest(args []string) {
	conn, err := net.Dial("unix", args[0])
	if err != nil {
		say("error %v", err)
		return
	}
	n, _ := io.Copy(io.Discard, conn) // a reset is an end, too
	say("connected, and sent away: %d bytes", n)
}

// roleRecover recovers what was left.
func roleRecover([]string) {
	lost, problems, err := foster.Recover(context.Background())
	say("recovered %d %v %v", len(lost), problems, err)
}

// tail reads to the end, also what was read ahead.
func (l *lines) tail() (text string) {
	for l.scanner.Scan() {
		text += l.scanner.Text() + "\n"
	}
	return text
}
