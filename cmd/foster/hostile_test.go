package main

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostileNames makes a folder and a program whose names a terminal would act on: a CSI of C1,
// a change of the direction of writing, ESC, a line feed, and a byte that isn't UTF-8. They
// are in the first 15 bytes, which the kernel keeps as the name of a process.
const hostileNames = `
evil=$(printf '\302\23331m\342\200\256\033c\r\351\302\205x\nx')
mkdir "$evil"; cp "$(command -v sh)" "$evil/$evil"; cd "$evil"
echo ==
`

// shownAsItself wants that a terminal shows all of an output, and acts on none.
func shownAsItself(t *testing.T, out string, lines int) {
	t.Helper()
	_, out, ok := strings.Cut(out, "==\n")
	if !ok || strings.Count(out, "\n") < lines {
		t.Fatalf("it is too short: %q", out)
	}
	for line := range strings.Lines(out) {
		line = strings.TrimSuffix(line, "\n")
		if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
			t.Errorf("%q", line)
		}
	}
	if !strings.Contains(out, `\u009b31m\u202e`) {
		t.Errorf("the name isn't there, escaped:\n%s", out)
	}
}

func TestNoNameOfAProcessReachesTheTerminalRaw(t *testing.T) {
	out := ownHost(t, hostileNames+`
setsid sh -c '"./$0" -c "echo \$\$ >a.pid; sleep 1000; :" "$0" & "./$0" -c "echo \$\$ >b.pid; sleep 1001; :" & :' "$evil"
setsid neglect "./$evil" -c : "$evil" & until_ '[ -s neglect.pid ]'
zombie=$(ps -o pid= --ppid $(cat neglect.pid) | tr -d ' '); until_ '[ "$(ps -o s= $zombie)" = Z ]'
until_ '[ $(ps -o ppid= $(cat a.pid)) = 1 ] && [ $(ps -o ppid= $(cat b.pid)) = 1 ]'
pid=$(cat a.pid); other=$(cat b.pid)
for form in text json; do
	foster orphans -o $form; foster orphans --all -o $form; foster explain $pid -o $form; foster explain $zombie -o $form
	foster zombies -o $form; foster ps --all -o $form; foster tree -o $form; foster tree $pid -o $form
	foster zombies --nudge $zombie --wait 0 -o $form
done
foster ps -j; foster ps -l; foster ps -f; foster ps --forest; foster ps -o pid,comm,args,exe,cgroup,user,tty,wchan,ports,tree
foster ps --name "*$evil*"; foster tree "*$evil*"
foster ps --name "$evil["; foster tree "$evil["; foster explain "$evil"; foster orphans --stop "$evil"; foster "$evil"; foster ps -o "$evil"
foster orphans --stop $pid --yes
foster orphans --stop $other --yes -o json
foster zombies --reap-by-ending-parent $(cat neglect.pid) --yes
`)
	shownAsItself(t, out, 100)
}

func TestNoNameInATreeReachesTheTerminalRaw(t *testing.T) {
	out := ownHost(t, hostileNames+`
foster run -d --id web -- sh -c 'trap "" TERM; "./$0" -c "sleep 1000; :" "$0" & "./$0" -c "sleep 1001; :"' "$evil" >/dev/null
until_ '[ "$(foster inspect web | grep -c " sleep 100[01]$")" = 2 ]'
for form in text json; do foster ls -o $form; foster inspect web -o $form; foster ps -o $form; done
foster stop --timeout 50ms web
for form in text json; do
	foster run --report $form --stop-timeout 50ms --lease 300ms -- sh -c 'trap "" TERM; "./$0" -c "sleep 1002; :" "$0"' "$evil"
	foster run --report $form -- "./$evil" -c : "$evil"
	foster run -- "./no$evil"
done
setsid foster run --contain subreaper --id lost -- "./$evil" -c "sleep 1003; :" "$evil" & runner=$!
until_ '[ -n "$(foster ls | grep running)" ]'
shim=$(foster inspect lost -o json | sed -n 's/.*"shim_pid": \([0-9]*\).*/\1/p')
kill -STOP $runner $shim; kill -9 $shim $runner # neither can act on the end of the other
until_ 'foster recover -n | grep -q left'
for form in text json; do foster recover -n -o $form; foster ls -o $form; done
foster recover -o json
`)
	shownAsItself(t, out, 60)
}

func TestNoNameInAProjectReachesTheTerminalRaw(t *testing.T) {
	out := ownHost(t, hostileNames+`
folder=$(printf '\302\23331m\342\200\256'); cd ..; mkdir "$folder"; mv "$evil"/* "$folder"; cd "$folder" # a path is UTF-8 over the socket
cat >foster.yaml <<'END'
name: shop
apps:
  web:
    command: ["sh", "-c", "trap '' TERM; ./*x -c 'sleep 1000; :'"]
    description: "a\u009b31m\u202eb"
    stop: {timeout: 50ms}
  missing:
    command: ["./\u009b31m\u202e"]
END
foster validate; foster validate -o json; foster graph; foster graph -o json
foster up -d
for form in text json; do foster status -o $form; foster events -o $form; foster history web -o $form; done
foster exec web -- true; foster stop web; foster stop -o json web; foster start missing; foster start -o json missing
foster events; foster events -o json
foster down
printf 'apps: {"\302\23331m\342\200\256": {command: x}}\n\302\23331m: 1\n' >foster.yaml
foster validate; foster up; foster status; :
`)
	shownAsItself(t, out, 60)
}
