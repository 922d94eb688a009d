//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/foster-init/foster/internal/sys"
)

// The applications of the project campaign are this program in a role. Each run keeps a
// record of its own, which no supervisor can lose: when it began, what it was asked, what it
// wrote, and how it ended. All processes of a run hold one lock, so two runs of an instance
// at a time can't go unseen.

// What an application finds in its environment.
const (
	folderVariable = "CAMPAIGN_FOLDER"
	seedVariable   = "CAMPAIGN_SEED"
	runVariable    = "CAMPAIGN_RUN" // of a member
)

// record is a fact that a process of an application has noted.
type record struct {
	Kind   string        `json:"kind"`
	Run    int           `json:"run"`
	At     time.Duration `json:"at"` // CLOCK_MONOTONIC
	PID    int           `json:"pid"`
	Parent int           `json:"parent,omitempty"`
	Code   int           `json:"code,omitempty"`
	Signal int           `json:"signal,omitempty"`
	Asked  bool          `json:"asked,omitempty"` // of an end: by SIGTERM
}

// The kinds of record.
const (
	runBegins    = "begin"  // of the leader, which has the lock
	runIsSecond  = "second" // the leader found the lock taken: another run lives
	runIsAsked   = "term"   // the leader got SIGTERM
	runIsTold    = "hup"    // the leader got SIGHUP
	runEnds      = "end"    // the leader is about to end so
	memberBegins = "member begin"
	memberEnds   = "member end"
)

// recordRoom is what a record takes in its file. No record lies on two pages: so the kernel
// writes it whole or not at all, whenever its writer is killed.
const recordRoom = 256

// appRun is what a process knows of the run that it is a process of.
type appRun struct {
	folder, instance string
	number           int
	lock             *os.File
	records          *os.File
	random           *rand.Rand
	asked            chan os.Signal // SIGTERM
	wasAsked         bool
	member           bool
}

// openRun opens the files of the run of this process, and begins to listen to SIGTERM.
func openRun() (*appRun, error) {
	r := &appRun{
		folder: os.Getenv(folderVariable), instance: os.Getenv("FOSTER_APP") + "." + os.Getenv("FOSTER_REPLICA"),
		asked: make(chan os.Signal, 1),
	}
	signal.Notify(r.asked, syscall.SIGTERM)
	told := make(chan os.Signal, 1)
	signal.Notify(told, syscall.SIGHUP)
	var err error
	if r.records, err = os.OpenFile(recordsPath(r.folder, r.instance), os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	go func() {
		for range told {
			r.note(record{Kind: runIsTold})
		}
	}()
	return r, nil
}

func recordsPath(folder, instance string) string { return filepath.Join(folder, "records", instance) }

func (r *appRun) note(n record) {
	n.Run, n.At, n.PID = r.number, sys.Now(false), os.Getpid()
	text, err := json.Marshal(n)
	if err != nil || len(text) >= recordRoom {
		panic(fmt.Sprintf("a record of %d bytes: %v", len(text), err))
	}
	line := bytes.Repeat([]byte{' '}, recordRoom)
	copy(line, text)
	line[recordRoom-1] = '\n'
	if _, err := r.records.Write(line); err != nil {
		panic(err)
	}
}

// readRecords reads what the runs of an instance have noted.
func readRecords(folder, instance string) (list []record, err error) {
	text, err := os.ReadFile(recordsPath(folder, instance))
	if os.IsNotExist(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	for line := range bytes.Lines(text) {
		var n record
		if err := json.Unmarshal(line, &n); err != nil {
			return nil, fmt.Errorf("records of %s: %w", instance, err)
		}
		list = append(list, n)
	}
	return list, nil
}

// lead makes this process the leader of a run.
func (r *appRun) lead() error {
	var err error
	if r.lock, err = os.OpenFile(filepath.Join(r.folder, "locks", r.instance), os.O_RDWR|os.O_CREATE, 0o600); err != nil {
		return err
	}
	free, err := sys.TryLock(r.lock, false)
	if err != nil {
		return err
	}
	if !free {
		r.note(record{Kind: runIsSecond, Parent: os.Getppid()})
		return fmt.Errorf("another run of %s lives", r.instance)
	}
	before, err := readRecords(r.folder, r.instance)
	if err != nil {
		return err
	}
	r.number = 1
	for _, n := range before {
		if n.Kind == runBegins {
			r.number++
		}
	}
	r.note(record{Kind: runBegins, Parent: os.Getppid()})
	r.seed()
	return nil
}

func (r *appRun) seed() {
	seed, _ := strconv.ParseUint(os.Getenv(seedVariable), 10, 64) // the campaign has set it
	r.random = rand.New(rand.NewPCG(seed, uint64(crc32.ChecksumIEEE([]byte(r.instance)))<<32|uint64(r.number)))
}

// pause waits for a time, or until SIGTERM, and says whether that came.
func (r *appRun) pause(d time.Duration) bool {
	clock := time.NewTimer(d)
	defer clock.Stop()
	select {
	case <-clock.C:
		return r.wasAsked
	case <-r.asked:
		r.wasAsked = true
		if !r.member {
			r.note(record{Kind: runIsAsked})
		}
		return true
	}
}

// between is a time from least to most, in milliseconds.
func (r *appRun) between(least, most int) time.Duration {
	return time.Duration(least+r.random.IntN(most-least+1)) * time.Millisecond
}

// exit ends this process, and notes that before.
func (r *appRun) exit(code int) {
	kind := runEnds
	if r.member {
		kind = memberEnds
	}
	r.note(record{Kind: kind, Code: code, Asked: r.wasAsked})
	os.Exit(code)
}

// die ends this process by a signal, and notes that before.
func (r *appRun) die(sig syscall.Signal) {
	r.note(record{Kind: runEnds, Signal: int(sig)})
	signal.Reset(sig)
	_ = sys.Kill(os.Getpid(), sig)
	select {} // it comes
}

// writer writes numbered lines to a stream, and keeps count in a file: of lines that it has
// begun to write, and of those that are written.
type writer struct {
	to     *os.File
	name   string // APP.REPLICA RUN WRITER
	count  *os.File
	number uint64
	random *rand.Rand
}

func (r *appRun) writer(to *os.File, name string) *writer {
	count, err := os.OpenFile(countPath(r.folder, r.instance, r.number, name), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		panic(err)
	}
	return &writer{to: to, name: fmt.Sprintf("%s %d %s", r.instance, r.number, name), count: count, random: r.random}
}

func countPath(folder, instance string, run int, writer string) string {
	return filepath.Join(folder, "counts", fmt.Sprintf("%s.%d.%s", instance, run, writer))
}

// readCount gives how many lines a writer has begun to write, and how many it has written.
func readCount(path string) (begun, written uint64) {
	b, err := os.ReadFile(path)
	if err != nil || len(b) < 8 {
		return 0, 0
	}
	b = append(b, make([]byte, 16)...)
	return binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
}

func (w *writer) noteCount(at int64) {
	if _, err := w.count.WriteAt(binary.LittleEndian.AppendUint64(nil, w.number), at); err != nil {
		panic(err)
	}
}

// line writes a line with so much text that it says nothing with.
func (w *writer) line(size int) { w.write(size, "\n") }

// lastWords writes a line without its end.
func (w *writer) lastWords() { w.write(20, "") }

func (w *writer) write(size int, end string) { w.send(w.next(size) + end) }

// next is the next line, without its end.
func (w *writer) next(size int) string {
	w.number++
	text := fmt.Sprintf("%s %d %s", w.name, w.number, strings.Repeat("x", size))
	return fmt.Sprintf("%s #%08x", text, crc32.ChecksumIEEE([]byte(text)))
}

// page writes as many lines at once as a pipe takes whole or not at all.
func (w *writer) page() {
	var lines strings.Builder
	for lines.Len() < 3600 {
		lines.WriteString(w.next(w.random.IntN(250)) + "\n")
	}
	w.send(lines.String())
}

func (w *writer) send(text string) {
	w.noteCount(0)
	if _, err := w.to.WriteString(text); err != nil {
		return // the end of the pipe is gone: it counts as not written
	}
	w.noteCount(8)
}

// size is how long a line is: mostly short, and now and then longer than a pipe takes at once.
func (w *writer) size() int {
	if w.random.IntN(200) == 0 {
		return 6000
	}
	return w.random.IntN(250)
}

// runApplication is the leader of a run.
func runApplication(kind string) error {
	r, err := openRun()
	if err != nil {
		return err
	}
	if err := r.lead(); err != nil {
		return err
	}
	behaviours[kind](r, r.writer(os.Stdout, "o"))
	r.exit(0)
	return nil
}

// behaviours are what applications do, by their kind.
var behaviours = map[string]func(r *appRun, out *writer){
	"steady":   beSteady,
	"notify":   beNotify,
	"chatty":   beChatty,
	"crash":    beCrash,
	"signal":   beSignal,
	"once":     beOnce,
	"fails":    beFails,
	"tries":    beTries,
	"slow":     beSlow,
	"stubborn": beStubborn,
	"daemon":   beDaemon,
	"job":      beJob,
	"last":     beLast,
	"parent":   beParent,
}

// beSteady runs until it is asked to end, and says little.
func beSteady(r *appRun, out *writer) {
	fmt.Println("ready")
	for !r.pause(r.between(50, 300)) {
		out.line(20)
	}
}

// beNotify is steady, and says by sd_notify(3) that it is ready.
func beNotify(r *appRun, out *writer) {
	if c, err := net.Dial("unixgram", os.Getenv("NOTIFY_SOCKET")); err == nil {
		_, _ = c.Write([]byte("READY=1"))
		c.Close()
	}
	beSteady(r, out)
}

// beChatty writes to both streams without rest, now and then as fast as it can.
func beChatty(r *appRun, out *writer) {
	errs := r.writer(os.Stderr, "e")
	for !r.pause(r.between(0, 6)) {
		if r.random.IntN(80) == 0 {
			for range 50 {
				out.page()
			}
		}
		for range r.random.IntN(5) {
			out.line(out.size())
		}
		errs.line(errs.size())
	}
}

// beCrash fails soon, again and again.
func beCrash(r *appRun, out *writer) {
	out.line(30)
	if r.random.IntN(3) > 0 {
		r.pause(r.between(0, 30))
	} else {
		r.pause(r.between(0, 900))
	}
	out.line(30)
	r.exit(1 + r.random.IntN(100))
}

// beSignal is killed by a signal of its own.
func beSignal(r *appRun, out *writer) {
	out.line(30)
	if r.pause(r.between(0, 600)) {
		return
	}
	r.die([]syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT}[r.random.IntN(3)])
}

// beOnce does its work and is done.
func beOnce(r *appRun, out *writer) {
	out.line(30)
	r.pause(r.between(0, 2500))
	out.line(30)
}

// beFails does it badly, and isn't started again.
func beFails(r *appRun, out *writer) {
	beOnce(r, out)
	r.exit(3)
}

// beTries fails until it doesn't.
func beTries(r *appRun, out *writer) {
	out.line(30)
	r.pause(r.between(0, 500))
	if r.random.IntN(4) > 0 {
		r.exit(9)
	}
}

// beSlow takes its time to stop.
func beSlow(r *appRun, out *writer) {
	for !r.pause(r.between(20, 100)) {
		out.line(40)
	}
	for range 1 + r.random.IntN(8) {
		time.Sleep(100 * time.Millisecond)
		out.line(40)
	}
}

// beStubborn doesn't end when it is asked to.
func beStubborn(r *appRun, out *writer) {
	for {
		r.pause(r.between(20, 100))
		out.line(40)
	}
}

// beJob does some work at its time.
func beJob(r *appRun, out *writer) {
	for range r.random.IntN(6) {
		out.line(40)
		if r.pause(r.between(10, 400)) {
			return
		}
	}
}

// beLast writes much, and at its end a line without an end.
func beLast(r *appRun, out *writer) {
	for range 30 + r.random.IntN(100) {
		out.line(out.size())
	}
	out.lastWords()
}

// beDaemon goes into the background, as daemons do.
func beDaemon(r *appRun, out *writer) {
	out.line(20)
	if err := r.startMember("2"); err != nil {
		r.exit(1)
	}
}

// beParent has children in sessions of their own, which write, too.
func beParent(r *appRun, out *writer) {
	for range 2 {
		_ = r.startMember("1") // without it there are fewer
	}
	beSteady(r, out)
}

// startMember starts a process of the run in a session of its own. It has the lock, too. The
// depth says how many forks it is away.
func (r *appRun) startMember(depth string) error {
	cmd := exec.Command("/proc/self/exe", memberRole, depth)
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d", runVariable, r.number))
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	cmd.ExtraFiles = []*os.File{r.lock}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	return cmd.Start()
}

// runMember is a process of a run that isn't its leader. Descriptor 3 is the lock.
func runMember(depth string) error {
	r, err := openRun()
	if err != nil {
		return err
	}
	r.member, r.lock = true, os.NewFile(3, "lock")
	r.number, _ = strconv.Atoi(os.Getenv(runVariable)) // the leader has set it
	r.seed()
	if depth == "2" {
		return r.startMember("1")
	}
	r.note(record{Kind: memberBegins, Parent: os.Getppid()})
	out := r.writer(os.Stdout, fmt.Sprintf("m%d", os.Getpid()))
	for end := time.Now().Add(r.between(500, 20_000)); time.Now().Before(end); {
		if r.pause(r.between(20, 200)) {
			break
		}
		out.line(40)
	}
	r.exit(0)
	return nil
}
