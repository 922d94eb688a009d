package main

import (
	"strings"
	"testing"
)

// untilZombies waits until a parent has this many.
const untilZombies = `
zombies() { cat /proc/[0-9]*/stat 2>/dev/null | sed 's/.*) //' | awk -v p=$1 '$1 == "Z" && $2 == p' | wc -l; }
`

func TestTheZombieOfAProgramThatNeverWaits(t *testing.T) {
	out := ownHost(t, untilZombies+`
(cd "$EXAMPLES"; :)
setsid neglect "$EXAMPLES/start.sh" >log 2>&1 &
until_ '[ -s neglect.pid ] && grep -q "^sub.sh: 1" log'
parent=$(cat neglect.pid)
start=$(sed -n 's/start.sh: pid \([0-9]*\).*/\1/p' log)
sub=$(sed -n 's/sub.sh: pid \([0-9]*\).*/\1/p' log)
kill -9 $start
until_ '[ "$(state $start)" = Z ]'
status foster zombies
status foster explain $start
status foster zombies --nudge --all --wait 200ms
status foster zombies --reap-by-ending-parent $start --yes
status foster zombies --reap-by-ending-parent $parent
status foster zombies --reap-by-ending-parent $parent --yes
until_ '[ -z "$(state $start)" ]'; echo reaped
status foster zombies
kill -9 $sub
`)
	wants(t, out,
		`^1 zombie of \d+ neglect`, `has a handler for SIGCHLD`, `it has reaped none within`, `killed by SIGKILL +start.sh$`, `^status 0$`,
		`^start.sh \(pid \d+\) is a zombie: it has ended, and its parent, neglect \(pid \d+\), hasn't asked how\.$`,
		`It can't be killed`, `it was killed by SIGKILL`, `^  foster orphans$`, `one of its session began while it lived, and nothing proves who started it`, `foster zombies --nudge \d+`, `--reap-by-ending-parent \d+`, `^status 0$`,
		`^neglect \(pid \d+\): 0 zombies reaped, 1 left$`, `^hint: the last resort`, `^status 123$`,
		`is a zombie itself`, `^status 1$`, `nobody can be asked`, `^status 2$`,
		`it has no living children`, `1 zombie reaped, none left`, `^status 0$`, `^reaped$`, `^no zombies$`)
}

func TestANudgeMakesAParentReapThatHeedsIt(t *testing.T) {
	out := ownHost(t, `
setsid heed &
until_ '[ -s heed.pid ]'
status foster zombies
echo BEGIN; foster zombies --nudge $(cat heed.pid) -o json; echo END
status foster zombies
status foster zombies --nudge $$
kill $(cat heed.pid)
`)
	wants(t, out, `^1 zombie of \d+ heed`, `has a handler`, `^no zombies$`, `has no zombies`, `^status 1$`)
	var list []remedied
	jsonOf(t, out, &list)
	if len(list) != 1 || len(list[0].Reaped) != 1 || len(list[0].Left) != 0 {
		t.Errorf("%+v", list)
	}
}

func TestAThousandZombiesAreToldInFewLines(t *testing.T) {
	out := ownHost(t, untilZombies+`
setsid neglect 1000 &
until_ '[ -s neglect.pid ] && [ $(zombies $(cat neglect.pid)) = 1000 ]'
status foster zombies
[ $(foster zombies --all | grep -c " true$") = 1000 ] && echo all
status foster zombies --reap-by-ending-parent $(cat neglect.pid) --yes --wait 10s
`)
	wants(t, out, `^1000 zombies of \d+ neglect`, `… and 990 more: --all lists them`, `^status 0$`, `^all$`,
		`1000 zombies reaped, none left`, `^status 0$`)
}

func TestEndingAParentTellsWhoIsOrphanedByIt(t *testing.T) {
	out := ownHost(t, untilZombies+`
setsid sh -c 'sleep 300 & echo $! >child; exec neglect 1' &
until_ '[ -s neglect.pid ] && [ $(zombies $(cat neglect.pid)) = 1 ] && runs $(cat child) sleep'
status foster zombies --reap-by-ending-parent $(cat neglect.pid) --yes
alive $(cat child) && echo lives
kill $(cat child)
`)
	wants(t, out, `a child of it lives on as an orphan: sleep \(pid \d+\); sh \(pid 1\) adopts`, `1 zombie reaped`, `^status 0$`, `^lives$`)
}

func TestAFirstProcessThatDoesNotReapIsTold(t *testing.T) {
	out := ownHost(t, untilZombies+`
sh -c 'sleep 0.01 & :'
until_ '[ $(zombies 1) = 1 ]'
setsid neglect 1 &
until_ '[ -s neglect.pid ] && [ $(zombies $(cat neglect.pid)) = 1 ]'
status foster zombies
status foster zombies --nudge 1 --wait 50ms
status foster zombies --reap-by-ending-parent 1 --yes
status foster zombies --reap-by-ending-parent $(cat neglect.pid) --yes --wait 50ms
status foster doctor
`, "first", "./script")
	wants(t, out, `it is the first process, and should reap what it adopts`, `^status 0$`,
		`first \(pid 1\): 0 zombies reaped, 1 left`, `foster init, or docker run --init`, `^status 123$`,
		`process 1 is not ended`, `^status 1$`,
		`first \(pid 1\) has adopted them, and doesn't reap either`, `^status 123$`,
		`reaped +first \(pid 1\) adopts the orphans of this session, and hasn't reaped one`)
}

func TestAncestorsAndTreesAreNotEndedForTheirZombies(t *testing.T) {
	out := ownHost(t, untilZombies+`
foster run --id web -- neglect 1 & 
until_ '[ -s neglect.pid ] && [ $(zombies $(cat neglect.pid)) = 1 ]'
status foster zombies --reap-by-ending-parent $(cat neglect.pid) --yes
status foster zombies --reap-by-ending-parent $$ --yes
foster stop web
wait
`)
	wants(t, out, `custody of tree \\?"web`, `^status 1$`, `this command runs below`, `^status 1$`)
}

func TestAParentThatIgnoresTheSignalIsTold(t *testing.T) {
	out := ownHost(t, `
setsid neglect ignore &
until_ '[ -s neglect.pid ]'
status foster zombies
status foster zombies --nudge --all --wait 50ms
status foster zombies --reap-by-ending-parent $(cat neglect.pid) --yes
`)
	wants(t, out, `ignores SIGCHLD, by now: what ends from now on is reaped by the kernel, this isn't`, `^status 0$`,
		`0 zombies reaped, 1 left`, `^status 123$`, `1 zombie reaped, none left`, `^status 0$`)
}

func TestANudgeIsAdvisedOnlyWhereItMayHelp(t *testing.T) {
	out := ownHost(t, untilZombies+`
setsid sh -c '(until grep -q sleep /proc/$$/comm; do :; done) & echo $$ >parent; exec sleep 300' &
until_ '[ -s parent ] && [ $(zombies $(cat parent)) = 1 ]'
status foster zombies
status foster explain $(ps -o pid= --ppid $(cat parent))
kill $(cat parent)
`)
	wants(t, out, `has no handler for SIGCHLD: .*a nudge won't help`, `the last resort: foster zombies --reap-by-ending-parent`, `^status 0$`,
		`^What to do:$`, `--reap-by-ending-parent`, `^status 0$`)
	if strings.Contains(out, "--nudge") {
		t.Errorf("a nudge is advised that was said not to help:\n%s", out)
	}
}

func TestExplainLeadsFromTheZombieToWhoHoldsThePort(t *testing.T) {
	out := ownHost(t, `
echo 'echo $$ >leader; sh ./sub; :' >start; echo 'listen; :' >sub
setsid neglect setsid sh ./start >log 2>&1 &
until_ '[ -s leader ] && [ -s port ]'
kill -9 $(cat leader)
until_ '[ "$(state $(cat leader))" = Z ]'
status foster explain $(cat leader)
orphan=$(orphaned ./sub)
status foster explain $orphan
foster orphans --stop $orphan --yes
`)
	wants(t, out, `is a zombie: .* What it started lives on: sh \(pid \d+\); listen \(pid \d+\), which listens at tcp 127.0.0.1:\d+ \(certain: in the session that it made\)\.$`,
		`^group: +\d+, which it led itself, until it ended$`, `^lives on: +sh \(pid \d+\) \(certain\); listen`, `tells about who lives on`, `^status 0$`,
		`^group: +\d+; its leader, setsid|^group: +\d+; its leader, sh \(pid \d+\), is a zombie`, `^status 0$`)
}

func TestWhatFosterHoldsIsNoOrphan(t *testing.T) {
	out := ownHost(t, `
echo 'echo $$ >leader; sh ./sub; :' >start; echo 'echo $$ >below; sleep 300; :' >sub
foster run --id web -- sh ./start & 
until_ '[ -s leader ] && [ -s below ]'
status foster explain $(cat leader)
kill -9 $(cat leader)
until_ '[ -z "$(state $(cat leader))" ]'
foster ps --tree $(cat below) -o pid,mark,tree
foster stop web
wait
`)
	wants(t, out, `^Is it an orphan\? no: held by foster: tree web$`, `^status 0$`, `^ *\d+ (held|-) +web$`)
	if strings.Contains(out, "orphan?\n") || strings.Contains(out, "nothing tells for sure") {
		t.Errorf("what is held is told as an orphan:\n%s", out)
	}
}
