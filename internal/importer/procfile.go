package importer

import (
	"path/filepath"
	"strconv"
	"strings"
)

var procfileLine = pattern(`^([A-Za-z0-9_.-]+):\s*(.+)$`)

// Ports of the processes, as foreman gives them.
const (
	firstPort = 5000
	portStep  = 100
)

// procfile reads "name: command" lines. A shell runs the commands.
func (r *reader) procfile(inputs []input) error {
	in := inputs[0]
	seen := map[string]int{}
	port := r.firstPort(in)
	for i, line := range in.lines {
		at := position{in.path, i + 1}
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		m := procfileLine().FindStringSubmatch(line)
		if m == nil {
			return at.wrong("expected NAME: COMMAND: got %q", clip(line))
		}
		if first, ok := seen[m[1]]; ok {
			return at.wrong("%s is there twice: first in line %d", m[1], first)
		}
		seen[m[1]] = i + 1
		a := r.draft.add(m[1], at.remark(m[1], ""))
		a.set("command", m[2])
		a.set("shell", true)
		a.set("stdin", "open") // foreman lets it inherit its own
		if port <= 65535 {
			a.set("port", port)
		} else {
			a.remark(at.remark(m[1], "there is no port left for it: PORT would be %d", port))
		}
		port += portStep
		if dir := r.folder(in.dir()); dir != "." {
			a.set("working_dir", dir)
		}
	}
	r.draft.general = append(r.draft.general, Remark{in.path, 0, "", "foreman stops all where one ends; foster goes on, and restarts what has failed: ends_project: on_exit, with restart: \"no\", is foreman's way"})
	if env := filepath.Join(in.dir(), ".env"); r.exists(env) {
		r.draft.project.set("env_file", r.folder(env))
	}
	return nil
}

func (r *reader) exists(path string) bool {
	_, err := r.read(path)
	return err == nil
}

var portLine = pattern(`^(?:export\s+)?PORT=["']?(\d{1,5})["']?\s*$`)

// firstPort is PORT of the file .env, or foreman's.
func (r *reader) firstPort(in input) int {
	data, _ := r.read(filepath.Join(in.dir(), ".env")) // without it, there is no PORT in it
	for _, line := range strings.Split(string(data), "\n") {
		if m := portLine().FindStringSubmatch(line); m != nil {
			if n, err := strconv.Atoi(m[1]); err == nil && n > 0 && n < 65536 {
				return n
			}
		}
	}
	return firstPort
}
