package main

import (
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
	"github.com/foster-init/foster/proc"
)

func TestTheKilledStartScriptsOrphanIsFoundExplainedAndEnded(t *testing.T) {
	out := ownHost(t, startAndKill+`
status foster orphans
status foster explain $sub
status foster orphans --stop $sub
status foster orphans --stop $sub --yes
until_ '[ -z "$(state $sub)" ]'; echo gone
status foster orphans
`)
	wants(t, out,
		`^PID +USER +ORPHAN`, `^\d+ +\S+ +certain +.*group of \d+, gone +\S+ +/bin/sh ./sub.sh$`, `^status 0$`,
		`^sub.sh \(pid \d+\) is an orphan: the process that started it is gone`, `process \d+, which led it, is gone`,
		`└─ \d+ /bin/sh ./sub.sh  <- this one`, `└─ \d+ sleep 1000$`, `^  foster orphans --stop \d+$`, `^status 0$`,
		`^foster: nobody can be asked`, `^hint: --yes`, `^status 2$`,
		`^sub.sh \(pid \d+\): nothing is left: ended sub.sh \(pid \d+\), sleep`, `^status 0$`, `^gone$`, `^no orphans$`)
}

const explained = `sub.sh (pid N) is an orphan: the process that started it is gone, and nobody watches it.

command:     /bin/sh ./sub.sh
user:        USER
directory:   FOLDER
started:     TIME (AGE ago)
memory:      SIZE
state:       S: it sleeps until something happens: input, a time, the end of a child. Most processes do, most of the time
group:       N; process N, which led it, is gone
session:     N; process N, which led it, is gone
listens at:  no port
foster tree: none: nobody has it in custody

Parents, and what is below it:
  N sh -c 'sh ./script; exit $?'  (adopted it)
  └─ N /bin/sh ./sub.sh  <- this one
     └─ N sleep N

Why it is an orphan (certain):
  - sh (N) adopted it: it is in session N, where only a process of that session could have started it
  - the leader of its session, N, is gone

Who reaps it:
  sh (pid N), which has adopted it.

What to do:
  foster orphans --stop N
      ends it and what is below it, N processes: SIGTERM, after AGE SIGKILL, and the proof that nothing is left
  foster run -- ./sub.sh
      start it, or the script that ran it, like this the next time: then it can't be lost
`

func TestExplainTellsAnOrphanInWords(t *testing.T) {
	out := ownHost(t, startAndKill+`
foster explain $sub
kill -9 $sub`)
	if got := masked(out); got != explained {
		t.Errorf("got\n%s\nwant\n%s", got, explained)
	}
}

// TestOrphansFindsOneInASessionFromOutside: what nsenter has started in a container is in
// session 0. Here that is the first process's, before it leads one.
func TestOrphansFindsOneInASessionFromOutside(t *testing.T) {
	out := ownHost(t, `
orphan=$(orphaned "sh ./app")
status foster orphans
status foster explain $orphan
status foster orphans --stop $orphan --yes
alive $orphan && echo survivor
status foster orphans
`, "sh", "-c", `echo 'sleep 1000; :' >app; (sh ./app &); exec setsid sh -c 'sh ./script; exit $?'`)
	wants(t, out, ` likely +.* outside of this PID namespace +.* sh ./app$`, `^status 0$`,
		`^sh \(pid \d+\) is likely an orphan`, `^ +- it is in a session from outside of this PID namespace and its parent, sh \(1\), isn't$`, `^status 0$`,
		`nothing is left: ended sh .*sleep`, `^status 0$`, `^no orphans$`, `^status 0$`)
	if strings.Contains(out, "survivor") {
		t.Error("it lives on")
	}
}

func TestExplainFindsWhoHoldsThePortAndTheOrphanThatItBelongsTo(t *testing.T) {
	out := ownHost(t, `
echo 'sh ./sub; :' >start; echo 'listen; :' >sub
setsid sh ./start & start=$!
until_ '[ -s port ]'
kill -9 $(ps -o pid= -C sh --sort pid | while read p; do tr '\0' ' ' </proc/$p/cmdline | grep -q '^sh ./start ' && echo $p; done)
until_ 'orphaned ./sub >/dev/null'
orphan=$(orphaned ./sub)
status foster explain :$(cat port)
status foster explain --port $(cat port)
status foster explain $(cat port)
echo BEGIN; foster explain -o json :$(cat port); echo END
listener=$(ps -o pid= -C listen | tr -d ' ')
status foster orphans --stop $listener --yes
status foster orphans
status foster orphans --stop $orphan --yes
status foster explain :$(cat port)
`)
	wants(t, out, `^listen \(pid \d+\) belongs to an orphan, sh \(pid \d+\).* It listens at tcp 127.0.0.1:\d+\.$`,
		`foster orphans --stop \d+`, `^status 0$`, `^listen \(pid`, `^status 0$`,
		`^foster: there is no process \d+$`, `did you mean the port\? foster explain :\d+`, `^status 1$`,
		`^foster: listen \(pid \d+\) is no orphan`, `^hint: it belongs to an orphan, sh`, `^status 1$`,
		`certain +.* tcp 127.0.0.1:\d+ `, `^status 0$`,
		`nothing is left: ended sh .*listen`, `^status 0$`, `nothing listens on port`, `^status 1$`)
	var e explanation
	jsonOf(t, out, &e)
	if e.Name != "listen" || e.BelowOrphan == 0 || len(e.Ports) != 1 || len(e.Advice) == 0 || e.Orphan != "no" {
		t.Errorf("%+v", e)
	}
}

func TestStopEndsOrphansThatLeadSessionsAndIgnoreSignals(t *testing.T) {
	out := ownHost(t, `
sh -c 'setsid sh -c "trap \"\" TERM; echo \$\$ >stubborn; while :; do sleep 0.05; done" & until [ -s stubborn ]; do sleep 0.01; done'
pid=$(cat stubborn)
until_ 'orphaned stubborn >/dev/null'
status foster orphans
status foster orphans --all
status foster orphans --stop --all --yes
[ -n "$(state $pid)" ] && echo untouched
status foster orphans --stop $pid --yes --stop-timeout 50ms
until_ '[ -z "$(state $pid)" ]'; echo gone
`)
	wants(t, out, `^no orphans$`, `possible +.*a session of its own`, `nothing to end`, `^status 0$`, `^untouched$`,
		`nothing is left: ended sh`, `^status 0$`, `^gone$`)
}

func TestStopWithoutAPIDEndsTheCertainOnesOnlyAndNobodyElse(t *testing.T) {
	out := ownHost(t, `
sleep 300 & bystander=$!
setsid sleep 301 & leader=$!`+startAndKill+`
echo BEGIN; foster orphans --stop --all --yes -o json; echo END
for p in $bystander $leader; do alive $p && echo spared; done
until_ '[ -z "$(state $sub)" ]'; echo gone
kill $bystander $leader
`)
	wants(t, out, `^spared$`, `^spared$`, `^gone$`)
	var ended []endedOrphan
	jsonOf(t, out, &ended)
	if len(ended) != 1 || !ended[0].Ended || ended[0].Name != "sub.sh" || len(ended[0].Survivors) > 0 {
		t.Errorf("%+v", ended)
	}
}

func TestStopRefuses(t *testing.T) {
	out := ownHost(t, `
setsid foster run --id web -- sh -c 'setsid sleep 300 & exec sleep 301' & runner=$!
until_ '[ "$(ps -o args= -C sleep | grep -c "sleep 30[01]")" = 2 ]'
below=$(ps -eo pid=,args= | awk '$2 == "sleep" && $3 == 300 { print $1 }')
sleep 299 & own=$!
status foster orphans --stop 1 --yes
status foster orphans --stop $$ --yes
status foster orphans --stop $own --yes
status foster orphans --stop $below --yes
status foster orphans --stop 99999 --yes
status foster orphans --stop x --yes
status foster orphans 5
status foster orphans --stop --all --yes
status foster orphans --all
status foster explain $below
alive $own && alive $below && echo untouched
foster stop web; kill $own
until_ '! kill -0 $runner 2>/dev/null'
`)
	wants(t, out,
		`is the first process, which all others depend on: it is not ended`, `^status 1$`,
		`is a process that this command runs below`, `^status 1$`,
		`sleep \(pid \d+\) is no orphan: its parent`, `^status 1$`,
		`is in the custody of tree \\?"web`, `^hint: foster stop web`, `^status 1$`,
		`there is no process 99999`, `^status 1$`, `is not the number of a process`, `^status 2$`,
		`takes a PID only with --stop`, `^status 2$`, `nothing to end`, `^status 0$`, `held`,
		`is in the custody of foster's tree web`, `foster stop web`, `^untouched$`)
}

func TestAnOrphanedFosterIsLeftToFosterStop(t *testing.T) {
	out := ownHost(t, `
setsid sh -c 'foster run --id web -- sleep 300 & until [ -n "$(foster ls | grep running)" ]; do sleep 0.02; done'
until_ 'orphaned "foster run" >/dev/null'
status foster orphans --stop $(orphaned "foster run") --yes
status foster orphans --stop --all --yes
foster ls | grep -q running && echo untouched
foster stop web
`)
	wants(t, out, `custody of tree \\?"web`, `^hint: foster stop web`, `^status 1$`, `^untouched$`)
}

func TestStopOfAnotherUsersOrphanIsRefused(t *testing.T) {
	leaktest.Need(t, "root", needRoot())
	out := ownHost(t, startAndKill+`
chmod 777 . state run
status setpriv --reuid 65534 --regid 65534 --clear-groups env XDG_STATE_HOME= HOME="$PWD" XDG_RUNTIME_DIR=/nonexistent foster orphans --stop $sub --yes
[ -n "$(state $sub)" ] && echo untouched
kill -9 $sub
`)
	wants(t, out, `is of user root`, `^status 1$`, `^untouched$`)
}

func TestAgreeingIsAskedForOnATerminal(t *testing.T) {
	_, err := exec.LookPath("script")
	leaktest.Need(t, "script(1)", err)
	for answer, want := range map[string]string{"n": "not agreed to", "y": "nothing is left"} {
		t.Run(answer, func(t *testing.T) {
			out := ownHost(t, startAndKill+`
echo `+answer+` | script -qec "foster orphans --stop $sub" /dev/null
kill -9 $sub 2>/dev/null; :
`)
			if !regexp.MustCompile(`end \d+ processes: sub.sh .*\? \[y/N\]`).MatchString(out) || !strings.Contains(out, want) {
				t.Error(out)
			}
		})
	}
}

func TestTheCommandToStartAgainCanBeTyped(t *testing.T) {
	for want, p := range map[string]proc.Process{
		"./sub.sh --fast":   {Name: "sub.sh", Args: []string{"/bin/sh", "./sub.sh", "--fast"}},
		"java -jar app.jar": {Name: "java", Args: []string{"java", "-jar", "app.jar"}},
		"./start.sh":        {Name: "sh", Args: []string{"sh", "-c", "a; b"}},
	} {
		if got := startCommand(&p); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if got := startCommand(&proc.Process{Name: "java", Args: []string{"java", strings.Repeat("x", 200)}}); got != "./start.sh" {
		t.Errorf("got %q", got)
	}
}

func TestExplainTellsOfALostTree(t *testing.T) {
	out := ownHost(t, `
setsid foster run --id web --contain subreaper -- sleep 300 >/dev/null 2>&1 &
until_ 'foster ls | grep -q running'
shim=$(foster inspect web -o json | sed -n 's/.*"shim_pid": \([0-9]*\).*/\1/p')
owner=$(ps -o ppid= -p $shim | tr -d ' ')
kill -STOP $shim $owner
until_ '[ "$(state $shim)$(state $owner)" = TT ]'
kill -9 $shim $owner
until_ 'orphaned "sleep 300" >/dev/null'
status foster explain $(orphaned "sleep 300")
status foster recover
`)
	wants(t, out, `^sleep \(pid \d+\) is what is left of foster's tree web, whose foster and shim were killed`,
		`^foster tree: web, which was lost`, `^  foster recover$`, `^status 0$`, `ended: sleep`, `^status 0$`)
}

func TestStopWithAnEmptyListEndsNothing(t *testing.T) {
	out := ownHost(t, startAndKill+`
missing=
status foster orphans --stop --yes $(cat missing.pid 2>/dev/null)
status foster orphans --stop --yes "$missing"
status foster orphans --stop --yes $sub "$missing"
status foster orphans --stop --yes --all $sub
status foster zombies --nudge $missing
status foster zombies --nudge "$missing"
status foster zombies --reap-by-ending-parent "$missing"
[ -n "$(state $sub)" ] && echo spared
status foster orphans --stop --yes --all
until_ '[ -z "$(state $sub)" ]'; echo gone
`)
	wants(t, out, `foster orphans --stop needs a PID`, `^hint: foster orphans --stop --all`, `^status 2$`,
		`an argument is empty`, `^status 2$`, `an argument is empty`, `^status 2$`, `either a PID or --all`, `^status 2$`,
		`foster zombies --nudge needs a PID`, `^status 2$`, `an argument is empty`, `^status 2$`,
		`--reap-by-ending-parent: the value is empty`, `^status 2$`, `^spared$`, `nothing is left`, `^status 0$`, `^gone$`)
}
