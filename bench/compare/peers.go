package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// A tool is a program that foster is compared with, and where it comes from.
type tool struct{ command, debian, npm string }

var tools = []tool{
	{"tini", "tini", ""}, {"dumb-init", "dumb-init", ""}, {"catatonit", "catatonit", ""},
	{"bwrap", "bubblewrap", ""}, {"timeout", "coreutils", ""}, {"ps", "procps", ""},
	{"runsvdir", "runit", ""}, {"s6-svscan", "s6", ""}, {"svscan", "daemontools", ""},
	{"supervisord", "supervisor", ""}, {"pm2-runtime", "", "pm2"},
	{"perl", "perl-base", ""}, {"unshare", "util-linux", ""}, // for what the peers do
}

func has(command string) bool {
	_, err := exec.LookPath(command)
	return err == nil
}

// missing says how what isn't installed can be had, a line for each package manager.
func missing() (lines []string) {
	var debian, npm []string
	for _, t := range tools {
		switch {
		case has(t.command):
		case t.npm != "":
			npm = append(npm, t.npm)
		default:
			debian = append(debian, t.debian)
		}
	}
	if len(debian) > 0 {
		lines = append(lines, "apt-get install -y --no-install-recommends "+strings.Join(debian, " "))
	}
	if len(npm) > 0 {
		lines = append(lines, "npm install -g "+strings.Join(npm, " "))
	}
	return lines
}

// versions are those of the tools that are installed.
func versions() map[string]string {
	found := map[string]string{}
	for _, t := range tools {
		path, err := exec.LookPath(t.command)
		if err != nil {
			continue
		}
		if t.debian != "" {
			if version, err := exec.Command("dpkg-query", "-W", "-f", "${Version}", t.debian).Output(); err == nil {
				found[t.debian] = string(version)
			}
			continue
		}
		if root, err := npmRoot(path); err == nil {
			var manifest struct{ Version string }
			if b, err := os.ReadFile(filepath.Join(root, "package.json")); err == nil && json.Unmarshal(b, &manifest) == nil {
				found[t.npm] = manifest.Version
			}
		}
	}
	return found
}

// npmRoot is the folder of the package that a command belongs to.
func npmRoot(path string) (string, error) {
	path, err := filepath.EvalSymlinks(path)
	return filepath.Dir(filepath.Dir(path)), err
}

// wrappers run one command: what stands before that, by the names of the table.
var wrappers = map[string][]string{
	"tini -s":         {"tini", "-s", "--"},
	"tini -s -g":      {"tini", "-s", "-g", "--"},
	"tini":            {"tini", "--"},
	"dumb-init":       {"dumb-init", "--"},
	"catatonit":       {"catatonit", "--"},
	"timeout -k":      {"timeout", "-k", "1", "1000"},
	"bwrap":           {"bwrap", "--bind", "/", "/", "--dev-bind", "/dev", "/dev", "--proc", "/proc", "--unshare-pid", "--die-with-parent", "--"},
	"foster run":      {"foster", "run", "--"},
	"foster init":     {"foster", "init", "--"},
	"foster-init":     {"foster-init", "--"},
	"foster, library": {"host", "library"},
	"os/exec, group":  {"host", "exec"},
}

// An app is what a supervisor is to keep running.
type app struct{ name, command string }

// A supervisor keeps applications running. lay writes its configuration for them into a
// folder, and returns what starts it.
type supervisor struct {
	tool string
	most int // applications that it can have, or that it starts in bearable time
	lay  func(dir string, apps []app) ([]string, error)
	stop string // a shell's command that has it stop all; it has its process in $PID
}

var supervisorsByName = map[string]supervisor{
	"foster up":             {"foster", 10000, layFoster, "kill -TERM $PID"},
	"runit":                 {"runsvdir", 1000, layRunit(""), "kill -HUP $PID"},
	"runit, svlogd":         {"runsvdir", 1000, layRunit("svlogd -tt"), "kill -HUP $PID"},
	"s6":                    {"s6-svscan", 1000, layS6(""), "kill -TERM $PID"},
	"s6, s6-log":            {"s6-svscan", 1000, layS6("s6-log T n5 s10000000"), "kill -TERM $PID"},
	"daemontools":           {"svscan", 1000, layDaemontools(""), "kill -TERM $PID; svc -dx services/*"},
	"daemontools, multilog": {"svscan", 1000, layDaemontools("multilog t n5 s10000000"), "kill -TERM $PID; svc -dx services/* services/*/log"},
	"supervisord":           {"supervisord", 1000, laySupervisord, "kill -TERM $PID"},
	"pm2":                   {"pm2-runtime", 100, layPM2, "kill -INT $PID"},
}

func layFoster(dir string, apps []app) ([]string, error) {
	var b strings.Builder
	b.WriteString("name: bench\ngrace: 1s\napps:\n")
	for _, a := range apps {
		fmt.Fprintf(&b, "  %s: {command: %q, restart: {policy: always, backoff: 0}, stop: {timeout: 1s}}\n", a.name, a.command)
	}
	return []string{"foster", "up", "-q", "-f", "foster.yaml"}, write(dir, "foster.yaml", b.String())
}

func layServices(dir string, apps []app, logger string) error {
	for _, a := range apps {
		service := filepath.Join("services", a.name)
		if err := write(dir, filepath.Join(service, "run"), "#!/bin/sh\nexec "+a.command+"\n"); err != nil {
			return err
		}
		if logger != "" {
			logs := filepath.Join(dir, "logs", a.name)
			if err := os.MkdirAll(logs, 0o755); err != nil {
				return err
			}
			if err := write(dir, filepath.Join(service, "log", "run"), "#!/bin/sh\nexec "+logger+" "+logs+"\n"); err != nil {
				return err
			}
		}
	}
	return nil
}

func layRunit(logger string) func(string, []app) ([]string, error) {
	return func(dir string, apps []app) ([]string, error) {
		return []string{"runsvdir", "services"}, layServices(dir, apps, logger)
	}
}

func layS6(logger string) func(string, []app) ([]string, error) {
	return func(dir string, apps []app) ([]string, error) {
		return []string{"s6-svscan", "-c", "4000", "services"}, layServices(dir, apps, logger)
	}
}

func layDaemontools(logger string) func(string, []app) ([]string, error) {
	return func(dir string, apps []app) ([]string, error) {
		if logger != "" { // svscan wants a sticky folder for a log
			defer func() {
				for _, a := range apps {
					_ = os.Chmod(filepath.Join(dir, "services", a.name), 0o755|os.ModeSticky)
				}
			}()
		}
		return []string{"svscan", "services"}, layServices(dir, apps, logger)
	}
}

func laySupervisord(dir string, apps []app) ([]string, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "[supervisord]\nnodaemon=true\nuser=root\nminfds=8192\nlogfile=%s/main.log\npidfile=%[1]s/pid\nchildlogdir=%[1]s\n", dir)
	for _, a := range apps {
		fmt.Fprintf(&b, "[program:%s]\ncommand=%s\nautorestart=true\nstartsecs=0\nstopasgroup=true\nkillasgroup=true\nstopwaitsecs=1\n"+
			"stdout_logfile=%s/%[1]s.log\nstdout_logfile_maxbytes=10MB\nstdout_logfile_backups=5\n", a.name, a.command, dir)
	}
	return []string{"supervisord", "-c", "supervisord.conf"}, write(dir, "supervisord.conf", b.String())
}

func layPM2(dir string, apps []app) ([]string, error) {
	type entry struct {
		Name        string `json:"name"`
		Script      string `json:"script"`
		Args        string `json:"args"`
		Interpreter string `json:"interpreter"`
		Output      string `json:"out_file"`
		KillTimeout int    `json:"kill_timeout"`
	}
	var list []entry
	for _, a := range apps {
		script, arguments, _ := strings.Cut(a.command, " ")
		path, err := exec.LookPath(script)
		if err != nil {
			return nil, err
		}
		list = append(list, entry{a.name, path, arguments, "none", filepath.Join(dir, a.name+".log"), 1000})
	}
	b, err := json.Marshal(map[string]any{"apps": list})
	if err != nil {
		return nil, err
	}
	return []string{"pm2-runtime", "start", "apps.json"}, write(dir, "apps.json", string(b))
}

// write writes a file that can be executed, and the folders above it.
func write(dir, name, text string) error {
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o755)
}

// measureSize is what a peer takes on disk: its package without its manual.
func measureSize(t task) (samples []sample, err error) {
	for _, peer := range t.Peers {
		var files []string
		switch peer {
		case "foster", "foster-init":
			path, err := exec.LookPath(peer)
			if err != nil {
				return nil, err
			}
			files = []string{path}
		case "pm2":
			path, err := exec.LookPath("pm2-runtime")
			if err != nil {
				return nil, err
			}
			root, err := npmRoot(path)
			if err != nil {
				return nil, err
			}
			_ = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
				files = append(files, path)
				return err
			})
		default:
			list, err := exec.Command("dpkg-query", "-L", peer).Output()
			if err != nil {
				return nil, fmt.Errorf("%s: %w", peer, err)
			}
			files = strings.Fields(string(list))
		}
		var bytes int64
		for _, file := range files {
			if strings.HasPrefix(file, "/usr/share/") || strings.HasSuffix(file, "-static") {
				continue
			}
			if info, err := os.Lstat(file); err == nil && info.Mode().IsRegular() {
				bytes += info.Size()
			}
		}
		samples = append(samples, sample{"size", peer, 0, float64(bytes) / 1024})
	}
	return samples, nil
}
