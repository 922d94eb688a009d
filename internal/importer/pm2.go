package importer

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"github.com/foster-init/foster/internal/units"
)

// interpreters are those that pm2 takes for a script without one.
var interpreters = map[string]string{
	".js": "node", ".cjs": "node", ".mjs": "node", ".py": "python3", ".sh": "bash", ".rb": "ruby", ".php": "php", ".pl": "perl",
	".ts": "bun", ".tsx": "bun", ".coffee": "coffee", ".ls": "lsc",
}

// pm2 reads an ecosystem.config.json: a map with the key apps, or a list of applications.
func (r *reader) pm2(inputs []input) error {
	root, err := parseTree(inputs[0])
	if err != nil {
		return err
	}
	list := root
	if root.kind == yaml.MappingNode {
		if list = root.get("apps"); list == nil && root.get("script") != nil {
			list = &node{kind: yaml.SequenceNode, items: []*node{root}}
		}
		if deploy := root.get("deploy"); deploy != nil {
			r.draft.general = append(r.draft.general, deploy.remark("foster deploys nothing"))
		}
	}
	if list != nil && list.kind == yaml.MappingNode {
		list = &node{kind: yaml.SequenceNode, items: []*node{list}}
	}
	if list == nil || list.kind != yaml.SequenceNode {
		return root.at.wrong("expected the key apps: a list of applications")
	}
	for _, n := range list.items {
		if n.kind != yaml.MappingNode {
			return n.wrong("expected a map with the key script")
		}
		script := n.get("script")
		if scalarOf(script) == "" {
			return n.at.wrong("expected the key script: what is executed")
		}
		name := scalarOf(n.get("name"))
		if name == "" {
			base := filepath.Base(script.text)
			name = strings.TrimSuffix(base, filepath.Ext(base))
		}
		p := &pm2App{reader: r, app: r.draft.add(name, n.at.remark(name, "")), dir: inputs[0].dir()}
		if err := p.read(n); err != nil {
			return err
		}
	}
	return nil
}

// pm2App is one application of pm2's.
type pm2App struct {
	*reader
	app *app
	dir string
}

func (p *pm2App) read(n *node) error {
	if err := p.command(n); err != nil {
		return err
	}
	if err := p.policy(n); err != nil {
		return err
	}
	a := p.app
	if dir := p.folder(p.dir); dir != "." {
		a.set("working_dir", dir)
	}
	for _, f := range n.fields {
		v := f.value
		if v.null {
			continue
		}
		switch f.key {
		case "name", "script", "args", "interpreter", "exec_interpreter", "interpreter_args", "node_args", "autorestart", "max_restarts", "restart_delay", "exp_backoff_restart_delay",
			"min_uptime", "stop_exit_codes", "kill_timeout", "ignore_watch", "watch_delay", "merge_logs", "combine_logs", "vizion", "automation", "pmx", "source_map_support", "treekill", "force", "disable_source_map_support":
		case "cwd":
			dir := v.text
			if !filepath.IsAbs(dir) {
				dir = p.folder(filepath.Join(p.dir, dir))
			}
			a.set("working_dir", dir)
		case "env":
			if err := p.environment(v); err != nil {
				return err
			}
		case "instances":
			p.instances(v)
		case "exec_mode":
			if strings.HasPrefix(v.text, "cluster") {
				a.remark(v.remark("foster doesn't share a port between the processes of a cluster: sockets can, or a port of their own, port: 3000"))
			}
		case "watch":
			p.watch(v, n)
		case "max_memory_restart":
			if size, err := units.Size(v.text); err == nil && size > 0 {
				a.below("limits").set("memory", v.text, v.remark("the kernel ends a process of a tree that needs more; then it is restarted as after any failure"))
			} else {
				a.remark(v.remark("it is no size that foster knows"))
			}
		case "uid", "user":
			a.set("user", v.text)
		case "gid", "group":
			a.set("group", v.text)
		case "cron_restart", "cron":
			a.remark(v.remark("foster restarts nothing at set times; schedule starts what runs to its end"))
		case "wait_ready":
			if truth(v.text) {
				a.remark(v.remark("foster doesn't hear process.send('ready'): give it a readiness_probe, or notify and sd_notify(3)"))
			}
		case "out_file", "error_file", "output", "error", "log", "log_file", "out", "log_date_format", "log_type", "pid_file", "pid":
			a.remark(v.remark("foster keeps the output in its state folder, with the time: foster logs %s", a.name))
		default:
			if strings.HasPrefix(f.key, "env_") {
				a.remark(v.remark("foster has no environments to choose from: another file, foster up -f foster.yaml -f other.yaml, lays its own over"))
			} else {
				a.remark(v.remark("has no equal"))
			}
		}
	}
	return nil
}

// command reads what is executed.
func (p *pm2App) command(n *node) error {
	words := func(key string) (argv list, err error) {
		v := n.get(key)
		if v == nil {
			return nil, nil
		}
		if v.kind == yaml.SequenceNode {
			for _, item := range v.items {
				argv = append(argv, item.text)
			}
			return argv, nil
		}
		parts, err := shlex(v.text)
		if err != nil {
			return nil, v.wrong("%v", err)
		}
		for _, w := range parts {
			argv = append(argv, w)
		}
		return argv, nil
	}
	script := n.get("script").text
	interpreter := interpreters[filepath.Ext(script)]
	for _, key := range []string{"interpreter", "exec_interpreter"} {
		if v := n.get(key); v != nil {
			interpreter = v.text
		}
	}
	var argv list
	if interpreter == "" && !strings.Contains(script, "/") && p.exists(filepath.Join(p.dir, scalarOf(n.get("cwd")), script)) {
		script = "./" + script
	}
	if interpreter != "" && interpreter != "none" {
		argv = list{interpreter}
		for _, key := range []string{"interpreter_args", "node_args"} {
			more, err := words(key)
			if err != nil {
				return err
			}
			argv = append(argv, more...)
		}
	}
	args, err := words("args")
	if err != nil {
		return err
	}
	p.app.set("command", append(append(argv, script), args...))
	return nil
}

func (p *pm2App) environment(v *node) error {
	env := &object{}
	for _, f := range v.fields {
		if f.key == "" || strings.ContainsAny(f.key, "= \t\n\x00") {
			return f.value.wrong("%q can't be the name of a variable", clip(f.key))
		}
		env.set(f.key, f.value.text)
	}
	p.app.set("environment", env)
	return nil
}

// instances reads how many run at once.
func (p *pm2App) instances(v *node) {
	n, err := strconv.Atoi(v.text)
	switch {
	case v.text == "max" || err == nil && n <= 0:
		p.app.remark(v.remark("foster doesn't count the processors: put the number in by hand, as replicas"))
	case err != nil || n > 10_000:
		p.app.remark(v.remark("expected a number"))
	case n > 1:
		p.app.set("replicas", n, v.remark("NODE_APP_INSTANCE, from 0, is FOSTER_REPLICA here, from 1"))
	}
}

// milliseconds reads a time, which is in milliseconds where it has no unit.
func milliseconds(v *node) (time.Duration, error) {
	text := v.text
	if _, err := strconv.Atoi(text); err == nil {
		text += "ms"
	}
	d, err := units.Duration(text)
	if err == nil && d > longestSeconds*time.Second {
		err = fmt.Errorf("it is too long")
	}
	if err != nil {
		return 0, v.wrong("%v", err)
	}
	return d, nil
}

// Times of pm2, where nothing else is written.
const (
	pm2KillTimeout = 1600 * time.Millisecond
	pm2MinUptime   = time.Second
	pm2MaxRestarts = 16
)

// policy reads when it is started again, and how it is stopped. pm2 sends SIGINT, and counts
// restarts of runs that were shorter than min_uptime.
func (p *pm2App) policy(n *node) error {
	stop := p.app.below("stop")
	stop.set("signal", "INT")
	times := map[string]time.Duration{"kill_timeout": pm2KillTimeout, "min_uptime": pm2MinUptime, "restart_delay": 0, "exp_backoff_restart_delay": 0}
	for key := range times {
		if v := n.get(key); v != nil {
			d, err := milliseconds(v)
			if err != nil {
				return err
			}
			times[key] = d
		}
	}
	stop.set("timeout", units.FormatDuration(times["kill_timeout"]))
	restart := p.app.below("restart")
	if v := n.get("autorestart"); v != nil && !truth(v.text) {
		restart.set("policy", "no")
		return nil
	}
	restart.set("policy", "always")
	if err := p.exitCodes(n, restart); err != nil {
		return err
	}
	backoff := restart.below("backoff")
	pause := times["restart_delay"]
	if grows := times["exp_backoff_restart_delay"]; grows > 0 {
		pause = min(grows, 15*time.Second)
		backoff.set("initial", units.FormatDuration(pause))
		backoff.set("factor", 1.5)
		backoff.set("max", "15s")
	} else {
		backoff.set("initial", units.FormatDuration(pause))
		backoff.set("factor", 1)
		if pause > time.Minute {
			backoff.set("max", units.FormatDuration(pause))
		}
	}
	backoff.set("jitter", 0)
	most := pm2MaxRestarts
	if v := n.get("max_restarts"); v != nil {
		var err error
		if most, err = strconv.Atoi(v.text); err != nil || most < 0 || most > 1<<30 {
			return v.wrong("expected a whole number: got %q", clip(v.text))
		}
	}
	each := max(times["min_uptime"]+pause, time.Millisecond)
	if most > 0 && most < int(longestSeconds*time.Second/each) {
		restart.set("max_restarts", most)
		restart.set("window", units.FormatDuration(time.Duration(most)*each))
	}
	return nil
}

// exitCodes reads after which exits it isn't started again.
func (p *pm2App) exitCodes(n *node, restart *object) error {
	v := n.get("stop_exit_codes")
	if v == nil {
		return nil
	}
	var codes list
	zero := false
	for _, item := range scalarItems(v) {
		code, err := strconv.Atoi(item.text)
		if err != nil || code < 0 || code > 255 {
			return v.wrong("%q is no exit code", clip(item.text))
		}
		if zero = zero || code == 0; code != 0 {
			codes = append(codes, code)
		}
	}
	restart.set("policy", "on_failure")
	if len(codes) > 0 {
		restart.set("success_exit_codes", codes)
	}
	if !zero {
		p.app.remark(v.remark("0 is always a success for foster: it isn't restarted after it either"))
	}
	return nil
}

// watch reads which files restart it.
func (p *pm2App) watch(v, n *node) {
	var paths, ignore list
	dir := p.dir
	if cwd := n.get("cwd"); cwd != nil {
		if dir = cwd.text; !filepath.IsAbs(dir) {
			dir = filepath.Join(p.dir, cwd.text)
		}
	}
	below := func(path string) string {
		if !filepath.IsAbs(path) {
			path = p.folder(filepath.Join(dir, path))
		}
		return path
	}
	switch {
	case v.kind == yaml.SequenceNode:
		for _, item := range v.items {
			if item.text != "" {
				paths = append(paths, below(item.text), below(item.text)+"/**")
			}
		}
	case v.text == "true":
		paths = list{below("**")}
	}
	if len(paths) == 0 {
		return
	}
	for _, item := range scalarItems(n.get("ignore_watch")) {
		if item.text != "" {
			ignore = append(ignore, below(item.text), below(item.text)+"/**")
		}
	}
	watch := p.app.below("watch")
	watch.set("paths", paths)
	if len(ignore) > 0 {
		watch.set("ignore", ignore)
	}
}
