package importer

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/foster-init/foster/internal/activate"
	"github.com/foster-init/foster/internal/units"
)

// listens sets the address of a socket, or tells that foster can't listen there.
func (p *program) listens(a *app, o *option, socket *object, address string) bool {
	if err := activate.Check(address); err != nil {
		a.remark(o.remark("foster can't listen there: %v", err))
		return false
	}
	socket.set("address", address)
	return true
}

// lifetime reads when it is started, and started again.
//
// supervisord counts only starts that fail: those that end within startsecs. A restart
// that follows a longer run is never counted. foster counts restarts within a window. With
// a pause of a second, startretries failed starts take no longer than startretries times
// (startsecs + 1), and runs that last longer don't fit into that.
func (p *program) lifetime(a *app, _ expansions) error {
	if !p.autostart {
		a.set("autostart", false)
	}
	startsecs, err := p.number("startsecs", 1, 0)
	if err != nil {
		return err
	}
	retries, err := p.number("startretries", 3, 0)
	if err != nil {
		return err
	}
	restart := a.below("restart")
	policy := "unexpected"
	o := p.get("autorestart")
	if o != nil {
		policy = strings.ToLower(o.value)
	}
	switch {
	case policy == "unexpected":
		restart.set("policy", "on_failure")
	case truth(policy):
		restart.set("policy", "always")
	default:
		restart.set("policy", "no")
		if r := p.get("startretries"); r != nil && startsecs > 0 {
			a.remark(r.remark("with autorestart=false, a start that fails isn't tried again"))
		}
		p.get("exitcodes")
		return nil
	}
	if err := p.exitcodes(a, restart, policy); err != nil {
		return err
	}
	backoff := restart.below("backoff")
	backoff.set("initial", "1s")
	backoff.set("factor", 1)
	backoff.set("jitter", 0)
	r := p.get("startretries")
	switch window := retries * (startsecs + 1); {
	case startsecs == 0: // no start fails
	case retries == 0:
		restart.set("max_restarts", 1, r.remark("one restart is the least that foster can be bounded to"))
		restart.set("window", fmt.Sprintf("%ds", min(startsecs+1, longestSeconds)))
	case startsecs > longestSeconds || retries > longestSeconds || window > longestSeconds:
		a.remark(p.section.at.remark("startretries", "restarts aren't bounded: the time would be too long"))
	default:
		restart.set("max_restarts", retries)
		restart.set("window", fmt.Sprintf("%ds", window))
	}
	return nil
}

// exitcodes reads which exits are expected.
func (p *program) exitcodes(a *app, restart *object, policy string) error {
	o := p.get("exitcodes")
	if o == nil || policy != "unexpected" {
		return nil
	}
	var codes list
	zero := false
	for _, word := range strings.FieldsFunc(o.value, func(r rune) bool { return r == ',' || r == ' ' || r == '\n' }) {
		n, err := strconv.Atoi(word)
		if err != nil || n < 0 || n > 255 {
			return o.at.wrong("exitcodes: %q is no exit code", clip(word))
		}
		if n == 0 {
			zero = true
			continue
		}
		codes = append(codes, n)
	}
	if len(codes) > 0 {
		restart.set("success_exit_codes", codes)
	}
	if !zero {
		a.remark(o.remark("0 is always a success for foster; autorestart=true, here restart: always, restarts after it"))
	}
	return nil
}

// output reads what becomes of its output.
func (p *program) output(a *app, e expansions) error {
	logs := a.below("logs")
	redirected := false
	if o := p.get("redirect_stderr"); o != nil {
		redirected = truth(o.value)
	}
	nowhere := map[string]bool{}
	for _, stream := range []string{"stdout", "stderr"} {
		file := p.get(stream + "_logfile")
		size, backups := p.get(stream+"_logfile_maxbytes"), p.get(stream+"_logfile_backups")
		if stream == "stderr" && redirected {
			continue
		}
		if file != nil {
			text, err := e.expand(file)
			if err != nil {
				return err
			}
			nowhere[stream] = p.logfile(a, file, text)
		}
		if stream == "stdout" {
			if err := p.rotation(a, logs, size, backups); err != nil {
				return err
			}
		}
	}
	if nowhere["stdout"] && (redirected || nowhere["stderr"]) {
		logs.set("disabled", true)
		return nil
	}
	for _, stream := range []string{"stdout", "stderr"} {
		if nowhere[stream] {
			a.remark(p.get(stream + "_logfile").remark("foster keeps both streams, or none"))
		}
	}
	for _, key := range []string{"stdout_syslog", "stderr_syslog"} {
		if o := p.get(key); o != nil && truth(o.value) {
			a.remark(o.remark("foster doesn't write to syslog: foster logs --follow %s can be piped to logger(1)", a.name))
		}
	}
	return nil
}

// logfile tells where the output is found, and whether it is thrown away.
func (p *program) logfile(a *app, o *option, path string) (none bool) {
	switch path {
	case "/dev/stdout", "/dev/stderr", "/dev/fd/1", "/dev/fd/2", "AUTO":
		return false // foster up shows it
	case "NONE", "/dev/null":
		return true
	case "syslog":
		a.remark(o.remark("foster doesn't write to syslog: foster logs --follow %s can be piped to logger(1)", a.name))
		return false
	}
	a.remark(o.remark("foster keeps the output in its state folder, both streams in one log: foster logs %s", a.name))
	return false
}

// rotation reads when a log is rotated, and how many are kept.
func (p *program) rotation(a *app, logs *object, size, backups *option) error {
	if size != nil {
		n, err := units.Size(size.value)
		switch {
		case err != nil:
			return size.at.wrong("%s: %v", size.key, err)
		case n == 0:
			if f := p.get("stdout_logfile"); f == nil || !strings.HasPrefix(f.value, "/dev/") {
				a.remark(size.remark("foster rotates logs always; by default at 10M"))
			}
		default:
			logs.set("max_size", size.value)
		}
	}
	if backups != nil {
		n, err := p.number(backups.key, 10, 0)
		if err != nil {
			return err
		}
		logs.set("max_files", n)
	}
	return nil
}
