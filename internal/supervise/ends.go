package supervise

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/foster-init/foster"
	"github.com/foster-init/foster/client"
	"github.com/foster-init/foster/internal/config"
	"github.com/foster-init/foster/internal/units"
)

// ending is how a run has ended, as package foster tells it.
type ending struct {
	exit   foster.Exit
	err    error
	told   []string // what the hook after it is told
	active bool     // it has completed, and is active until it is stopped: the hook runs then
	// preparing is as in instance: the commands of a stop may outlast what they stop.
	preparing <-chan struct{}
}

// left are the processes that couldn't be ended.
func (e ending) left() (list []foster.Survivor) {
	if survivors, ok := errors.AsType[*foster.SurvivorsError](e.err); ok {
		return survivors.Survivors
	}
	return nil
}

// proven says that nobody is left, by the kernel's word. What isn't known to be over counts
// as something that is left, also where nobody could be named.
func (e ending) proven() bool {
	return len(e.left()) == 0 && (e.exit.Released || !e.exit.TreeEmpty.IsZero())
}

// remains says who is left, or why that isn't known.
func (e ending) remains() (cause string, left []string) {
	for _, p := range e.left() {
		left = append(left, p.String())
	}
	if len(left) == 0 {
		return fmt.Sprintf("isn't known to be over: %v", e.err), nil
	}
	return "processes are left that can't be ended", left
}

// noteEnd writes into the history how a run has ended, and into the notes what follows:
// the shim forgets it then, and a hook may take long.
func (s *Supervisor) noteEnd(i *instance, run uint64, e *ending) {
	if run != i.run {
		return
	}
	e.told, e.preparing = i.endVariables(*e), i.preparing
	i.exit = exitOf(e.exit)
	s.endRun(i)
	s.stopProbes(i) // a hook may take long, and there is nobody to ask
	if e.proven() {
		i.over = e
		m, _ := i.foresee()
		e.active = m.Active
		s.readiness(i)
		s.noteRest(i)
	}
}

// conclude runs the hook after an end, and tells the loop. Where processes are left, the hook
// would run beside them: see gone. What a stop has run before is waited for: it may clear away
// what the next run needs.
func (s *Supervisor) conclude(i *instance, run uint64, spec *config.App, e ending) {
	if e.proven() && e.preparing != nil {
		<-e.preparing
	}
	if e.proven() && !e.active {
		s.afterEnd(i, run, spec, e.told)
	}
	s.post(func() { s.ended(i, run, e) })
}

// afterEnd runs the hook after an end, which is told how that was.
func (s *Supervisor) afterEnd(i *instance, run uint64, spec *config.App, told []string) {
	s.runOnce(i, run, postStop, spec.Hooks.PostStop, func() error {
		spec := withVariables(*spec, told...)
		return runHook(s.patient, &spec, postStop, spec.Hooks.PostStop)
	})
}

// gone takes the news that there is no tree, or no more where the instance was stuck. Nobody
// says how that ended; the hook after it is run now.
func (s *Supervisor) gone(i *instance) {
	if i.record.ID != 0 && i.record.Exit == nil {
		i.exit = s.lose(i.record)
		i.record = client.Run{}
	}
	emptied := func() {
		i.over, i.left = nil, nil
		i.ends++
		o := outcome{}
		if i.m.Failing {
			o = i.judgeEnd(o, 0)
		}
		s.step(i, Ended, i.gaveUp(o, "its tree has ended"), o)
	}
	run, spec := i.run, i.current
	if !i.owesHook || len(spec.Hooks.PostStop) == 0 {
		emptied()
		return
	}
	i.owesHook, i.over = false, &ending{exit: foster.Exit{TreeEmpty: time.Now()}}
	told := i.endVariables(*i.over)
	s.helpers.Go(func() {
		s.afterEnd(i, run, &spec, told)
		s.post(emptied)
	})
}

// ended takes the news that a run is over.
func (s *Supervisor) ended(i *instance, run uint64, e ending) {
	if run != i.run {
		return
	}
	if e.active {
		if m, _ := i.foresee(); !m.Active { // a stop was asked for meanwhile
			e.active = false
			spec := i.current
			s.helpers.Go(func() { s.conclude(i, run, &spec, e) })
			return
		}
	}
	i.tree, i.terminal, i.over = nil, nil, nil
	if !e.proven() {
		var cause string
		cause, i.left = e.remains()
		i.owesHook = true
		s.memory.owe(i.treeID, len(i.current.Hooks.PostStop) > 0)
		s.step(i, Survived, cause, outcome{})
		return
	}
	i.ends++
	i.facts.ran = true
	cause, o := i.outcomeOf(e)
	o = i.judgeEnd(o, e.lasted())
	s.step(i, Ended, i.gaveUp(o, cause), o)
}

// gaveUp adds to the cause of an end that there were enough restarts.
func (i *instance) gaveUp(o outcome, cause string) string {
	r := i.spec.Restart
	if !o.exhausted {
		return cause
	}
	text := fmt.Sprintf("gave up after %d restarts", r.MaxRestarts)
	if r.MaxRestarts == 1 {
		text = "gave up after 1 restart"
	}
	if r.Window > 0 {
		text += " within " + units.FormatDuration(r.Window)
	}
	return text + ": " + cause
}

// foresee says what follows the end of a run, whose hook is under way, as things stand.
func (i *instance) foresee() (m Machine, cause string) {
	cause, o := i.outcomeOf(*i.over)
	o, _, _ = i.judge(o, i.over.lasted())
	m, _, _ = i.m.next(Ended, i.terms(o)) // unchanged where it can't happen
	return m, i.gaveUp(o, cause)
}

func (e ending) lasted() time.Duration { return e.exit.LastSeen().Sub(e.exit.Started) }

// outcomeOf says what the end of a run means, and why it came.
func (i *instance) outcomeOf(e ending) (cause string, o outcome) {
	if i.m.Failing {
		return i.cause, outcome{}
	}
	return endCause(e.exit), outcome{ok: succeeded(&i.current, e.exit, e.err), before: i.stoppedBefore(e.exit)}
}

// stoppedBefore says whether a tree that was taken over had been stopped by then, or ended
// since nobody came for it. That isn't how the application ends, and who was to stay
// stopped is noted.
func (i *instance) stoppedBefore(exit foster.Exit) bool {
	return (exit.Cause == foster.CauseStopped || exit.Cause == foster.CauseOwnerGone) && exit.LastSeen().Before(i.taken)
}

// succeeded says whether a run that nobody stopped ended well.
func succeeded(spec *config.App, exit foster.Exit, err error) bool {
	switch exit.Cause {
	case foster.CauseExpired, foster.CauseWatchdog, foster.CauseShimLost:
		return false
	}
	return !errors.Is(err, foster.ErrLeaderLost) && exit.Leader.Known && succeededWith(spec, exit.Leader)
}

// succeededWith says whether a leader ended well.
func succeededWith(spec *config.App, s foster.Status) bool {
	return s.Signal == 0 && (s.Code == 0 || slices.Contains(spec.Restart.SuccessCodes, s.Code))
}

func endCause(exit foster.Exit) string {
	switch exit.Cause {
	case foster.CauseStopped:
		return "stopped"
	case foster.CauseExpired:
		return "stopped: its lease was over"
	case foster.CauseWatchdog:
		return "stopped: it didn't call its watchdog in time"
	case foster.CauseShimLost:
		return "ended: its shim has died"
	case foster.CauseLeaderLost, foster.CauseLeaderLostFail:
		return "stopped: its leader was lost"
	case foster.CauseOwnerGone:
		return "stopped: no supervisor came back within the grace"
	}
	if exit.OOMKills > 0 {
		return endWords(exit.Leader) + fmt.Sprintf("; out of memory: the kernel has killed %d at its limit", exit.OOMKills)
	}
	return endWords(exit.Leader)
}

// judgeEnd says whether there is another restart, and sets how long the pause is.
func (i *instance) judgeEnd(o outcome, ran time.Duration) outcome {
	o, i.attempts, i.due = i.judge(o, ran)
	return o
}

// judge is judgeEnd, and changes nothing.
func (i *instance) judge(o outcome, ran time.Duration) (_ outcome, next attempts, due time.Time) {
	t := i.terms(o)
	stopped := o.before || i.m.State == client.Stopping
	if t.Scheduled || i.m.Failing && !i.m.Again || !i.m.Failing && (stopped || !t.again()) {
		return o, i.attempts, i.due
	}
	next, pause, exhausted := i.attempts.next(i.spec.Restart, time.Now(), ran, rand.Float64())
	o.exhausted = exhausted
	return o, next, time.Now().Add(pause)
}
