package config

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/hosttest"
	"github.com/foster-init/foster/internal/units"
)

// The problems of a configuration: where, at which key, what, and the hint.
func TestProblems(t *testing.T) {
	for _, tt := range []struct {
		name, text string
		want       []string // "line:column path: text | hint"
	}{
		{"unknown keys", "nme: x\napps:\n  web: {comand: x, command: x, foo: 1}\n", []string{
			`1:1 nme: unknown key | did you mean name?`,
			`3:9 apps.web.comand: unknown key | did you mean command?`,
			`3:32 apps.web.foo: unknown key`,
		}},
		{"names of other programs", "services: {}\napps: {}\n", []string{
			`1:1 services: unknown key | here it is called apps`,
			`2:7 apps: there are no applications`,
		}},
		{"more names of other programs", "apps:\n  a:\n    command: x\n    dir: /\n    env: {}\n    shutdown: {}\n    max_retries: 5\n    image: x\n", []string{
			`4:5 apps.a.dir: unknown key | here it is called working_dir`,
			`5:5 apps.a.env: unknown key | here it is called environment`,
			`6:5 apps.a.shutdown: unknown key | here it is called stop`,
			`7:5 apps.a.max_retries: unknown key | restart has the key max_restarts`,
			`8:5 apps.a.image: unknown key | foster runs commands, not images`,
		}},
		{"types", "apps:\n  a:\n    command: {}\n    replicas: many\n    autostart: 1\n    stop: fast\n    environment: 5\n    user: []\n    limits: {cpu: x}\n  b: prog\n", []string{
			`3:14 apps.a.command: expected a command, as a text or a list: got a map`,
			`4:15 apps.a.replicas: expected a whole number of at least 0: got "many"`,
			`5:16 apps.a.autostart: expected true or false: got "1"`,
			`6:11 apps.a.stop: expected a map with signal, scope, timeout, command: got "fast"`,
			`7:18 apps.a.environment: expected a map of variables, or a list of NAME=value: got "5"`,
			`8:11 apps.a.user: expected a text: got a list`,
			`9:19 apps.a.limits.cpu: expected a number of at least 0: got "x"`,
			`10:6 apps.b: expected a map with the key command: got "prog" | write b: {command: …}`,
		}},
		{"a number in quotes is none", "apps: {a: {command: x, replicas: \"2\"}}\n", []string{
			`1:34 apps.a.replicas: expected a whole number of at least 0: got "2"`,
		}},
		{"nothing", "apps:\n  a:\n  b: {command: }\n  c: {command: \"\"}\n  d: {command: []}\n  e: {}\n", []string{
			`2:5 apps.a: expected a map with extends, description, command, shell …: got nothing`,
			`3:16 apps.b.command: expected a command, as a text or a list: got nothing`,
			`4:16 apps.c.command: expected a command: it is empty`,
			`5:16 apps.d.command: expected a command: it is empty`,
			`6:3 apps.e: expected the key command: what is executed`,
		}},
		{"no applications", "name: x\n", []string{`1:1 : expected the key apps: a map of the applications`}},
		{"a list", "- a\n", []string{`1:1 : expected a map with the key apps: got a list`}},
		{"times, sizes, signals", "grace: 5 parsecs\nlogs: {max_size: 10X}\napps:\n  a: {command: x, stop: {signal: TREM, timeout: -1s}, watchdog: 0}\n", []string{
			`1:8 grace: "5 parsecs" is not a time: "parsecs" is no unit of time: write 10s, 500ms, 1min 30s or 2h`,
			`2:18 logs.max_size: "10X" is no size: "X" is no unit of bytes: there are K, M, G, T and P`,
			`4:34 apps.a.stop.signal: "TREM" is no signal: write TERM, SIGTERM or 15 (kill -l lists them) | did you mean TERM?`,
			`4:49 apps.a.stop.timeout: "-1s" is not a time: it is negative: write 10s, 500ms, 1min 30s or 2h`,
			`4:65 apps.a.watchdog: it has to be longer than 0`,
		}},
		{"words that are near", "apps:\n  a: {command: x, rlimits: {nofiles: 10}, user: \"1000:1001\", replicas: 100000}\n  b: {command: x, watch: {paths: x, signal: SIGHPU}, rlimits: x}\n", []string{
			`2:29 apps.a.rlimits.nofiles: "nofiles" is no resource that can be limited: there are ` + strings.Join(units.Resources(), ", ") + ` | did you mean nofile?`,
			`2:49 apps.a.user: "1000:1001" isn't a user: the group has a key of its own | write user: 1000 and group: 1001`,
			`2:72 apps.a.replicas: expected a whole number from 0 to 1000: got "100000"`,
			`3:45 apps.b.watch.signal: "SIGHPU" is no signal: write TERM, SIGTERM or 15 (kill -l lists them) | did you mean HUP?`,
			`3:63 apps.b.rlimits: expected a map from resources to limits, as nofile: "1024:4096": got "x"`,
		}},
		{"a line that nobody sees", "logs: {disabled: true}\napps:\n  a: {command: x, readiness_probe: {log_line: up}}\n  b: {command: x, readiness_probe: {log_line: up}, logs: {disabled: false}}\n", []string{
			`3:47 apps.a.readiness_probe.log_line: the line is never seen: its logs are disabled | logs: {disabled: false} for this application`,
		}},
		{"the end of a word", "apps:\n  a: {command: x, depends_on: {b: {condition: helthy}}}\n  b: {command: x, readiness_probe: {notify: true}}\n", []string{
			`2:47 apps.a.depends_on.b.condition: "helthy" is none of process_started, process_healthy, process_completed, process_completed_successfully, process_log_ready | did you mean process_healthy?`,
		}},
		{"words", "apps:\n  a: {command: x, restart: on-failure, containment: cgruop, until: dawn}\n", []string{
			`2:28 apps.a.restart.policy: "on-failure" is none of no, on_failure, always, unless_stopped | here it is called on_failure`,
			`2:53 apps.a.containment: "cgruop" is none of auto, group, subreaper, cgroup, pidns | did you mean cgroup?`,
			`2:68 apps.a.until: "dawn" is none of tree, leader`,
		}},
		{"dependencies", "apps:\n  web: {command: x, depends_on: [bd, web]}\n  db: {command: x}\n", []string{
			`2:34 apps.web.depends_on[0]: there is no application "bd" | did you mean db?`,
			`2:38 apps.web.depends_on[1]: it depends on itself`,
		}},
		{"conditions", "apps:\n  web:\n    command: x\n    depends_on:\n      db: {condition: process_healthy}\n      log: {condition: process_log_ready}\n      job: {condition: process_completed}\n      db2: {condition: service_healthy}\n  db: {command: x}\n  log: {command: x}\n  job: {command: x, restart: always}\n  db2: {command: x}\n", []string{
			`5:7 apps.web.depends_on.db: process_healthy: db has none of readiness_probe, notify and forking | without them it is ready as soon as it runs: that is process_started`,
			`6:7 apps.web.depends_on.log: process_log_ready: log has no readiness_probe with the key log_line`,
			`7:7 apps.web.depends_on.job: process_completed: job never completes: its restart policy is always`,
			`8:24 apps.web.depends_on.db2.condition: "service_healthy" is none of process_started, process_healthy, process_completed, process_completed_successfully, process_log_ready | here it is called process_healthy`,
		}},
		{"hosts", "apps:\n  a: {command: x, readiness_probe: {http_get: {host: \"localhost:80\"}}, liveness_probe: {tcp: {host: \"[::1\", port: 1}}}\n", []string{
			`2:54 apps.a.readiness_probe.http_get.host: "localhost:80" has a port, which has a key of its own`,
			`2:101 apps.a.liveness_probe.tcp.host: "[::1" is neither a name nor an address, as localhost, 127.0.0.1 or ::1`,
		}},
		{"starts", "apps:\n  a: {command: x, start_timeout: 5s}\n  b: {command: x, forking: true, until: leader, on_leader_loss: stop}\n", []string{
			`2:34 apps.a.start_timeout: it is ready as soon as it runs: nothing else is waited for | add a readiness_probe, notify: true or forking: true`,
			`3:41 apps.b.until: with forking, its first process ends while the daemon lives on | leave it out: a run ends when the daemon has ended`,
			`3:65 apps.b.on_leader_loss: with forking, its first process ends while the daemon lives on | leave it out`,
		}},
		{"a cycle", "apps:\n  a: {command: x, depends_on: [b]}\n  b: {command: x, depends_on: [c]}\n  c: {command: x, depends_on: [a]}\n", []string{
			`4:32 apps.c.depends_on[0]: applications wait for each other: a -> b -> c -> a`,
		}},
		{"a cycle of extends", "apps:\n  a: {extends: b}\n  b: {extends: a, command: x}\n", []string{
			`2:16 apps.a.extends: applications extend each other: b -> a -> b`,
			`3:16 apps.b.extends: applications extend each other: a -> b -> a`,
		}},
		{"what is only extended", "apps:\n  .base: {comand: x, restart: {max: 1}, extends: .nobody}\n  a: {command: x}\n", []string{
			`2:11 apps..base.comand: unknown key | did you mean command?`,
			`2:32 apps..base.restart.max: unknown key | here it is called max_restarts`,
			`2:50 apps..base.extends: there is no application ".nobody" to extend | there are .base, a`,
		}},
		{"extends", "apps:\n  a: {extends: bas, command: x}\n  base: {command: x}\n  c: {extends: {service: base}, command: x}\n  d: {extends: {file: no.yaml, app: x}, command: x}\n", []string{
			`2:16 apps.a.extends: there is no application "bas" to extend | did you mean base?`,
			`4:16 apps.c.extends: expected the key app: the application to extend`,
			`5:23 apps.d.extends.file: can't read DIR/no.yaml: no such file or directory`,
		}},
		{"probes", "apps:\n  a: {command: x, readiness_probe: {period: 1s}, liveness_probe: {tcp: 1, exec: x}}\n  b: {command: x, readiness_probe: {tcp: {}}, liveness_probe: {notify: true}}\n  c: {command: x, readiness_probe: {log_line: \"(\"}, liveness_probe: {http_get: {prot: 1}}}\n  d: {command: x, readiness_probe: {exec: {}}, liveness_probe: {tcp: 65536}}\n", []string{
			`2:36 apps.a.readiness_probe: expected one of exec, http_get, tcp, notify and log_line: got 0 of them`,
			`2:66 apps.a.liveness_probe: expected one of exec, http_get, tcp, notify and log_line: got 2 of them`,
			`3:42 apps.b.readiness_probe.tcp: expected the key port`,
			`3:72 apps.b.liveness_probe.notify: READY=1 is told once: it says nothing about whether it still works | watchdog: 30s ends an application that doesn't call its watchdog`,
			"4:47 apps.c.readiness_probe.log_line: \"(\" is no regular expression: error parsing regexp: missing closing ): `(`",
			`4:81 apps.c.liveness_probe.http_get.prot: unknown key | did you mean port?`,
			`5:43 apps.d.readiness_probe.exec: expected the key command`,
			`5:70 apps.d.liveness_probe.tcp.port: expected a port, from 1 to 65535: got "65536"`,
		}},
		{"the port of the first replica", "apps:\n  a: {command: x, replicas: 2, port: 80, readiness_probe: {tcp: 80}, liveness_probe: {http_get: {port: 80}}}\n  b: {command: x, port: 80, readiness_probe: {tcp: 80}}\n", []string{
			`2:65 apps.a.readiness_probe.tcp: all 2 replicas are asked at port 80, which is that of the first | leave it out: each is asked at its own`,
			`2:104 apps.a.liveness_probe.http_get.port: all 2 replicas are asked at port 80, which is that of the first | leave it out: each is asked at its own`,
		}},
		{"schedules", "apps:\n  a: {command: x, schedule: \"61 * * * *\"}\n  b: {command: x, schedule: {cron: \"@daily\", zone: Mars/Base}}\n  c: {command: x, schedule: {}}\n", []string{
			`2:29 apps.a.schedule: schedule "61 * * * *": …`,
			`3:52 apps.b.schedule.zone: zone "Mars/Base": …`,
			`4:29 apps.c.schedule: expected the key cron: when it is started, as "0 3 * * *"`,
		}},
		{"resource limits", "apps:\n  a: {command: x, rlimits: {nofiles: 1, core: 2:1}, containment: group, limits: {memory: 1G}}\n", []string{
			`2:29 apps.a.rlimits.nofiles: "nofiles" is no resource that can be limited: …`,
			`2:47 apps.a.rlimits.core: "core=2:1": the soft limit is above the hard one`,
			`2:66 apps.a.containment: limits are those of a cgroup, and containment is group | cgroup has limits; optional: true goes on without them`,
		}},
		{"leases", "apps:\n  a: {command: x, lease: {max: 1h}}\n  b: {command: x, lease: {time: 2h, max: 1h}}\n  c: {command: x, lease: {time: 1h, warn: 1h}}\n  d: {command: x, lease: {time: 1h, signal: HUP}}\n", []string{
			`2:26 apps.a.lease: expected the key time: how long a run may last`,
			`3:42 apps.b.lease.max: a lease of 2h0m0s is longer than its bound of 1h0m0s`,
			`4:43 apps.c.lease.warn: a lease of 1h0m0s can't be warned of 1h0m0s before its end`,
			`5:45 apps.d.lease.signal: expected the key warn, too: how long before the end the signal is sent`,
		}},
		{"sockets", "apps:\n  a: {command: x, sockets: [{name: s}, {address: x}, {address: \":80\"}, {address: \":80\"}]}\nmetrics: nine\n", []string{
			`2:29 apps.a.sockets[0]: expected the key address: where to listen`,
			`2:50 apps.a.sockets[1].address: "x" isn't an address: expected host:port, udp:host:port or unix:/path`,
			`2:72 apps.a.sockets[3]: another socket has this address: :80`,
			`3:10 metrics: "nine" isn't an address: expected host:port, as 127.0.0.1:9090`,
		}},
		{"names", "apps:\n  \"a b\": {command: x}\n  a: {command: x}\n  a.2: {command: x}\nname: ../x\n", []string{
			`2:3 apps.a b: the name "a b" can't be a tree's: only …`,
			`4:3 apps.a.2: "a.2" is also what replica 2 of a is called`,
			`5:7 name: the name "../x" can't be a tree's: it must …`,
		}},
		{"two of a key", "apps:\n  a: {command: x, command: y}\n  b: {command: x}\n  b: {command: x}\n", []string{
			`2:19 apps.a.command: the key is there twice: first in line 2`,
			`4:3 apps.b: the key is there twice: first in line 3`,
		}},
		{"variables", "apps:\n  a: {command: \"x ${NO}\"}\n  b: {command: [x, \"${NO:?say it}\"]}\n  c: {command: x, user: \"${NO\"}\n  d: {command: x, user: \"${FOSTER_APP}\"}\n  e: {command: x, user: \"${1}\"}\n  f: {command: x, user: \"${NO:x}\"}\n", []string{
			`2:16 apps.a.command: the variable NO isn't set | ${NO:-} is empty where it isn't set; $${NO} is left as it is, to a shell`,
			`3:20 apps.b.command[1]: the variable NO is needed: say it`,
			`4:25 apps.c.user: "${NO" has no closing }`,
			`5:25 apps.d.user: ${FOSTER_APP} and the like have a value only in command, working_dir, environment, hooks, probes and stop`,
			`6:25 apps.e.user: "${1}" is no variable: expected a name of letters, digits and _`,
			`7:25 apps.f.user: "${NO:x}": expected :-, :? or :+ after the name`,
		}},
		{"commands", "apps:\n  a: {command: a | b}\n  b: {command: a $X}\n  c: {command: \"a 'b\"}\n  d: {command: a && b}\n  e: {command: a > b}\n  f: {command: [a], shell: true}\n  g: {command: A=b c}\n  h: {command: a $(b)}\n", []string{
			`2:16 apps.a.command: a pipe, && or the like needs a shell, and a command that is a text isn't run by one | shell: true has a shell run it`,
			`3:16 apps.b.command: $X needs a shell, and a command that is a text isn't run by one | write ${X}, or $$X for the text itself; or shell: true, to have a shell run it`,
			"4:16 apps.c.command: it can't be parsed as a shell does, at character 3: reached EOF without closing quote `'`",
			`5:16 apps.d.command: a pipe, && or the like needs a shell, and a command that is a text isn't run by one | shell: true has a shell run it`,
			`6:16 apps.e.command: a redirection needs a shell, and a command that is a text isn't run by one | shell: true has a shell run it`,
			`7:16 apps.f.command: what a shell runs is a text: got a list | write it as one text, or leave out shell`,
			`8:16 apps.g.command: a variable before the command needs a shell, and a command that is a text isn't run by one | shell: true has a shell run it`,
			`9:16 apps.h.command: $(b) needs a shell, and a command that is a text isn't run by one | shell: true has a shell run it`,
		}},
		{"YAML", "apps:\n\ta: 1\n", []string{`2:1 : not YAML: found character that cannot start any token, while scanning for the next token | YAML is indented by blanks, never by tabs`}},
		{"more YAML", "apps:\n  a: b: c\n", []string{`2:7 : not YAML: mapping values are not allowed in this context | a text with ": " in it stands in quotes`}},
		{"a line that is indented otherwise", "apps:\n  a:\n    command: x\n     restart: always\n", []string{`4:13 : not YAML: mapping values are not allowed in this context | is the line indented as the others of its map, and does the one before it end its value?`}},
		{"a variable in braces", "apps: {a: {command: x ${Y}}}\n", []string{"1:24 : not YAML: did not find expected ',' or '}', while parsing a flow mapping | within { } and [ ], a text that has one of , [ ] { } in it, as ${NAME}, stands in quotes"}},
		{"an open quote", "name: x\napps: \"\n", []string{`2:7 : not YAML: found unexpected end of stream, while scanning a quoted scalar | is the quote that begins here closed?`}},
		{"two documents", "apps: {a: {command: x}}\n---\napps: {}\n", []string{`2:1 : a second document begins: a file holds one | give several files by -f, or name them with include`}},
		{"an empty file", "# nothing\n", []string{`: the file is empty: expected a map with the key apps`}},
		{"a tag", "name: !mine x\napps: {a: {command: x}}\n", []string{`1:7 name: the tag !mine means nothing here`}},
		{"other things", "apps:\n  a: {command: x, watch: {ignore: x}, restart: {backoff: {initial: 5m, max: 1m, jitter: 2}}, port: 65535, replicas: 2, umask: 9}\n", []string{
			`2:26 apps.a.watch: expected the key paths: the files to watch`,
			`2:58 apps.a.restart.backoff: the first pause, 5m0s, is longer than the longest, 1m0s`,
			`2:89 apps.a.restart.backoff.jitter: expected a number from 0 to 1: got "2"`,
			`2:100 apps.a.port: 2 replicas from port 65535 on are more than there are ports`,
			`2:127 apps.a.umask: "9" is no octal number of at most four digits, as "022"`,
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := write(t, "-- foster.yaml --\n"+tt.text)
			p, err := Load(Source{Dir: dir, Environ: []string{}})
			if p != nil || err == nil {
				t.Fatalf("got %v, %v", p, err)
			}
			var got []string
			for _, p := range problemsOf(err) {
				got = append(got, strings.ReplaceAll(oneLine(p), dir, "DIR"))
				if p.Line > 0 && p.Source != strings.Split(tt.text, "\n")[p.Line-1] {
					t.Errorf("line %d is shown as %q", p.Line, p.Source)
				}
			}
			if !alike(got, tt.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tt.want, "\n"))
			}
		})
	}
}

func oneLine(p Problem) string {
	text := fmt.Sprintf("%s: %s", p.Path, p.Text)
	if p.Line > 0 {
		text = fmt.Sprintf("%d:%d %s", p.Line, p.Column, text)
	}
	if p.Hint != "" {
		text += " | " + p.Hint
	}
	return text
}

// alike compares lines; what stands for an … doesn't matter.
func alike(got, want []string) bool {
	if len(got) != len(want) {
		return false
	}
	for i := range want {
		begin, whole := strings.CutSuffix(want[i], "…")
		if whole && !strings.HasPrefix(got[i], begin) || !whole && got[i] != want[i] {
			return false
		}
	}
	return true
}

// A time zone is looked for where the system has them.
func TestATimeZoneThatIsNearIsNamed(t *testing.T) {
	folder := t.TempDir()
	t.Cleanup(func(was []string) func() { return func() { zoneFolders = was } }(zoneFolders))
	zoneFolders = []string{folder}
	for _, name := range []string{"Europe/Berlin", "Europe/Paris", "UTC"} {
		path := filepath.Join(folder, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, nil, 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	for zone, want := range map[string]string{"Europe/Berln": "Europe/Berlin", "Erope/Berlin": "Europe/Berlin", "UCT": "UTC", "Mars": "", "Europe/Mars": "", "": "", "../..": ""} {
		_, err := time.LoadLocation("Europe/Berlin")
		hosttest.Need(t, "time zones, which Go has, too", err)
		if near := nearZone(zone); near != want {
			t.Errorf("%q: %q, want %q", zone, near, want)
		}
	}
}
