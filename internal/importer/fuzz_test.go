package importer

import (
	"errors"
	"testing"

	"github.com/foster-init/foster/internal/schedule"
)

// whatever imports what isn't known to be right, and loads what is made of it.
func whatever(t *testing.T, format Format, content map[string]string, paths ...string) {
	t.Helper()
	r := &reader{files: memory(content), out: "/srv", environ: []string{"HOME=/home/me"}}
	res, err := r.run(paths, format)
	if err != nil {
		if _, ok := errors.AsType[*Error](err); !ok {
			t.Fatalf("%T: %v", err, err)
		}
		return
	}
	if _, err := load(t, res.YAML, content); err != nil {
		t.Fatalf("%s\n%s", allProblems(err), res.YAML)
	}
}

func FuzzSupervisord(f *testing.F) {
	for _, s := range []string{
		"[program:a]\ncommand=x", "[program:a]\ncommand=x %(ENV_A)s $$\nnumprocs=3\nprocess_name=%(process_num)03d\nuser=%(process_num)d",
		"[program:a b]\ncommand=\"x\\\"y\" 'z'\nenvironment=A=\"b,c\",D='e'\nexitcodes=1,2\nautorestart=true\nstartsecs=0\n",
		"[group:g]\nprograms=a,b\npriority=1\n[program:a]\ncommand=x\npriority=2\n[program:b]\ncommand=%%\n  more\n; c\n\tlines # c",
		"[fcgi-program:p]\ncommand=p\nsocket=tcp://localhost:90\n[supervisord]\numask=7\ndirectory=%(here)s",
		"[program:a]\ncommand=a\nstopsignal=RTMIN+3\nstopwaitsecs=99999999999\nstdout_logfile_maxbytes=0.5GB\nstdout_logfile_backups=0",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		whatever(t, Supervisord, map[string]string{"supervisord.conf": s}, "supervisord.conf")
	})
}

func FuzzProcfile(f *testing.F) {
	for _, s := range []string{"web: x", "a: $$ ${A:-b} $(c) 'd\"", "..: x\n-: y\n", "a: \x01\u0085\ufeff"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		whatever(t, Procfile, map[string]string{"Procfile": s}, "Procfile")
	})
}

func FuzzSystemd(f *testing.F) {
	for _, s := range []string{
		"[Service]\nExecStart=/bin/x $A ${B} \\x41 \"c d\" %n %z ; /bin/y\nType=oneshot",
		"[Unit]\nAfter=b.service\n[Service]\nType=notify\nExecStart=-@/bin/x y z\nRestart=on-failure\nRestartSec=5min\nEnvironment=A='b c' D=%h\n",
		"[Service]\nExecStart=x\nExecStop=kill -9 $MAINPID\nKillMode=mixed\nLimitNOFILE=1:2\nLimitAS=1G\nMemoryMax=1.5G\nCPUQuota=20%\nTimeoutSec=0\nRestart=always\nRestartSteps=3\nRestartMaxDelaySec=1h",
		"[Service]\nExecStart=/x \\\n# c\n  y\nSuccessExitStatus=1 2 TERM\nRuntimeMaxSec=1us\nWatchdogSec=10\nUMask=77\nExecStartPre=/a\nExecStartPre=-/b $C\nEnvironmentFile=-/x",
	} {
		f.Add(s, "[Timer]\nOnCalendar=Mon *-*-1..5 0/2:00\nOnBootSec=5", "[Socket]\nListenStream=80\nListenDatagram=[::1]:90\nListenStream=/x y\nSocketMode=0600\n")
	}
	f.Fuzz(func(t *testing.T, service, timer, socket string) {
		whatever(t, Systemd, map[string]string{
			"a.service": service, "a.timer": timer, "a.socket": socket, "b.service": "[Service]\nExecStart=/b\n[Unit]\nAfter=a.service",
		}, "a.service", "b.service")
	})
}

func FuzzProcessCompose(f *testing.F) {
	for _, s := range []string{
		"processes: {a: {command: x}}",
		"environment: [A=b]\nshell: {shell_command: zsh}\nprocesses:\n  a:\n    command: x $$ ${A} $B '$1' {{.C}}\n    availability: {restart: always, backoff_seconds: 100, max_restarts: 3}\n    depends_on: {b: {condition: process_healthy}}\n  b.1: {entrypoint: [x, y]}\n  b: &b {command: y, replicas: 2}\n",
		"processes:\n  a:\n    command: |\n      x\n       y\t\n    readiness_probe: {http_get: {port: 80, host: h, headers: {a: b}}, period_seconds: 3}\n    shutdown: {signal: 9, timeout_seconds: 5, command: z}\n    schedule: {interval: 5m}\n    watch: {paths: [{path: ., include: ['*']}], debounce: 1s}\n",
		"x: &x {exec: {command: c}}\nprocesses:\n  a:\n    command: x\n    liveness_probe: {<<: *x}\n    ready_log_line: a(b\n    environment: {A: 1, B: }\n    log_configuration: {rotation: {max_size_mb: 1, max_age_days: 3}}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		whatever(t, ProcessCompose, map[string]string{"process-compose.yaml": s}, "process-compose.yaml")
	})
}

func FuzzPM2(f *testing.F) {
	for _, s := range []string{
		`{"apps": [{"script": "a.js", "args": ["x"], "instances": 2, "watch": true, "env": {"A": 1}}]}`,
		`[{"name": "a", "script": "a", "min_uptime": 10, "max_restarts": 3, "restart_delay": 70000, "stop_exit_codes": [1], "max_memory_restart": "1G"}]`,
		`{"script": "x.py", "exp_backoff_restart_delay": 100, "kill_timeout": "3s", "cwd": "/x", "watch": ["a"], "ignore_watch": "b"}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		whatever(t, PM2, map[string]string{"ecosystem.config.json": s}, "ecosystem.config.json")
	})
}

// What OnCalendar= says is refused, or is a schedule.
func FuzzCalendar(f *testing.F) {
	for _, s := range []string{"daily", "Mon..Fri *-*-* 09:00", "Mon,Wed 0/2:30", "*-*-1..5 1,2:0/5:30 Europe/Berlin", "2026-01-01", "*:0/15 UTC", "Sun *-*~1", "12-31 23:59", "*:*:*/2"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		cron, zone, err := calendar(s)
		if err != nil {
			return
		}
		if _, err := schedule.Parse(cron, zone); err != nil {
			if _, zerr := schedule.Parse("* * * * *", zone); zerr == nil { // whether there is such a zone, the machine knows
				t.Errorf("%q became %q in %q: %v", s, cron, zone, err)
			}
		}
	})
}
