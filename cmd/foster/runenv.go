package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/foster-init/foster"
)

// environment adds to foster's own environment: the files first, then the flags.
func (f *runFlags) environment(c *foster.Cmd) error {
	if len(f.env)+len(f.unsetEnv)+len(f.envFiles) == 0 {
		return nil
	}
	env := os.Environ()
	for _, path := range f.envFiles {
		lines, err := readEnvFile(path)
		if err != nil {
			return flagError("env-file", err)
		}
		env = append(env, lines...)
	}
	for _, key := range f.unsetEnv {
		if key == "" || strings.Contains(key, "=") {
			return flagError("unset-env", fmt.Errorf("%q is no name of a variable: write KEY", key))
		}
		env = without(env, key)
	}
	for _, e := range f.env {
		if key, _, _ := strings.Cut(e, "="); key == "" {
			return flagError("env", fmt.Errorf("%q has no name: write KEY=VALUE", e))
		}
		env = append(env, handedOn(e)...)
	}
	c.Env = env
	lookUpIn(c, env)
	return nil
}

// handedOn is a variable as it was given; one that is only named is foster's own, where
// foster has it: that is what -e KEY means to docker.
func handedOn(e string) []string {
	if strings.Contains(e, "=") {
		return []string{e}
	}
	if value, ok := os.LookupEnv(e); ok {
		return []string{e + "=" + value}
	}
	return nil
}

func without(env []string, key string) []string {
	kept := env[:0]
	for _, e := range env {
		if !strings.HasPrefix(e, key+"=") {
			kept = append(kept, e)
		}
	}
	return kept
}

// lookUpIn looks a program up by the PATH that it will have, as env(1) does.
func lookUpIn(c *foster.Cmd, env []string) {
	name, path := c.Args[0], "/bin:/usr/bin" // what exec(3) takes where there's none
	for _, e := range env {
		if value, ok := strings.CutPrefix(e, "PATH="); ok {
			path = value
		}
	}
	if name == "" || strings.Contains(name, "/") || path == os.Getenv("PATH") {
		return
	}
	c.Path, c.Err = name, &exec.Error{Name: name, Err: exec.ErrNotFound}
	for _, dir := range filepath.SplitList(path) {
		found, err := exec.LookPath("./" + filepath.Join(dir, name))
		if filepath.IsAbs(dir) {
			found, err = exec.LookPath(filepath.Join(dir, name))
		} else if err == nil {
			err = exec.ErrDot // as under os/exec: that could be anybody's
		}
		switch {
		case err == nil:
			c.Path, c.Err = found, nil
			return
		case errors.Is(err, exec.ErrDot):
			c.Err = &exec.Error{Name: name, Err: exec.ErrDot}
			return
		}
	}
}

// longestVariable is how long a variable of an environment can be: Linux has that limit.
const longestVariable = 128 << 10

// readEnvFile reads a file as docker's --env-file does: a KEY=VALUE a line, the
// value as it stands, or a KEY that foster has; empty lines and those that begin with #
// are passed over.
func readEnvFile(path string) ([]string, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var env []string
	lines, n := bufio.NewScanner(file), 1
	lines.Buffer(nil, longestVariable)
	for ; lines.Scan(); n++ {
		line := strings.TrimLeft(lines.Text(), " \t")
		if line == "" || line[0] == '#' {
			continue
		}
		key, _, _ := strings.Cut(line, "=")
		if key == "" || strings.ContainsAny(key, " \t") {
			return nil, fmt.Errorf("%s:%d: %q is not KEY=VALUE", path, n, line)
		}
		if strings.IndexByte(line, 0) >= 0 {
			return nil, fmt.Errorf("%s:%d: the variable %q holds a NUL byte, which no variable can", path, n, key)
		}
		env = append(env, handedOn(line)...)
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return nil, fmt.Errorf("%s:%d: the line is longer than a variable can be, 128 KiB", path, n)
	case err != nil:
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return env, nil
}
