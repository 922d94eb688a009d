//go:build linux

package main

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// A program is what a member of a tree does, step by step, written as letters: "i f(s h) x3"
// ignores signals, starts a child that leads a session and hangs, and exits with 3.
type program []step

type step struct {
	name  byte
	n     int     // of what takes a number
	child program // of what takes a program
}

// What each letter does. Those of withChild take a program in parentheses, those of
// withNumber a number.
const (
	withChild  = "fvrue"    // fork and exec; the same by CLONE_VFORK; fork alone; fork into new namespaces (by number); exec with an empty environment
	withNumber = "cyYdxlun" // see below
	plain      = "sghwzaoibpkKqtmD"
	// c N   change process group N times, then session
	// y N   a line of N processes, each of which forks the next, which leads a session, and exits
	// Y N   fork N times, and so do the children: 2^N processes
	// d N   wait N ms
	// x N   exit with status N; so does the end of a program, with 0
	// l N   write N times 64 KiB to standard output
	// n N   change the name: to one of a kernel thread, of foster's shim, or of a line of /proc/PID/stat
	// s     lead a session              g  lead a process group
	// h     hang                        w  wait for all children
	// z     have a zombie               a  be a subreaper
	// o     be another user             i  ignore TERM, INT, HUP
	// b     block all signals           p  stop by SIGSTOP
	// k     be traced by the parent     K  have two children, one of which traces the other
	// q     close descriptors 0 to 3    D  be undumpable: /proc/PID belongs to root
	// t     go on in another thread     m  the same, and the main thread ends
)

func (p program) String() string {
	var b strings.Builder
	for i, s := range p {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteByte(s.name)
		if s.n > 0 {
			b.WriteString(strconv.Itoa(s.n))
		}
		if strings.IndexByte(withChild, s.name) >= 0 {
			b.WriteString("(" + s.child.String() + ")")
		}
	}
	return b.String()
}

func parseProgram(text string) (program, error) {
	p, rest, err := parseSteps(text)
	if err == nil && rest != "" {
		err = fmt.Errorf("unexpected %q", rest)
	}
	return p, err
}

func parseSteps(text string) (p program, rest string, err error) {
	for {
		text = strings.TrimLeft(text, " ")
		if text == "" || text[0] == ')' {
			return p, text, nil
		}
		s := step{name: text[0]}
		if strings.IndexByte(withChild+withNumber+plain, s.name) < 0 {
			return nil, "", fmt.Errorf("no step is named %q", s.name)
		}
		text = text[1:]
		digits := len(text) - len(strings.TrimLeft(text, "0123456789"))
		if digits > 0 {
			if s.n, err = strconv.Atoi(text[:digits]); err != nil {
				return nil, "", err
			}
			text = text[digits:]
		}
		if strings.IndexByte(withChild, s.name) >= 0 {
			var open, closed bool
			if text, open = strings.CutPrefix(text, "("); open {
				if s.child, text, err = parseSteps(text); err != nil {
					return nil, "", err
				}
				text, closed = strings.CutPrefix(text, ")")
			}
			if !open || !closed {
				return nil, "", fmt.Errorf("%q needs a program in parentheses", s.name)
			}
		}
		p = append(p, s)
	}
}

// ends says with which status the first process of a program may exit by itself, and whether
// it must: what writes may wait for a reader, and what is stopped for SIGCONT, for ever.
func (p program) ends() (status int, may, must bool) {
	must = true
	for _, s := range p {
		switch s.name {
		case 'h':
			return 0, false, false
		case 'l', 'p', 'k':
			must = false
		case 'e':
			status, may, below := s.child.ends()
			return status, may, must && below
		case 'w':
			if !p.allEnd() {
				return 0, false, false
			}
		case 'x':
			return s.n & 0xff, true, must
		case 'y', 'Y': // the process that goes on is another, or there are several
			must = must && s.n == 0
		}
	}
	return 0, true, must
}

// allEnd says that each process that the program makes ends by itself.
func (p program) allEnd() bool {
	for _, s := range p {
		switch s.name {
		case 'h', 'p', 'k', 'K', 'l':
			return false
		case 'x':
			return true
		}
		if !s.child.allEnd() {
			return false
		}
	}
	return true
}

// A maker makes random programs.
type maker struct {
	*rand.Rand
	left   int  // how many processes may yet be started
	root   bool // may change its user
	finite bool // every process ends by itself
	group  bool // stays where a group can be told
}

// program makes one for a process: exec'd processes can have threads.
func (m *maker) program(depth int, execd bool) (p program) {
	add := func(chance float64, name byte, n int) {
		if m.Float64() < chance {
			p = append(p, step{name: name, n: n})
		}
	}
	if execd {
		add(0.08, 'm', 0)
		add(0.05, 't', 0)
	}
	add(0.2, 's', 0)
	add(0.15, 'g', 0)
	add(0.12, 'a', 0)
	add(0.12, 'i', 0)
	add(0.08, 'b', 0)
	add(0.10, 'n', m.IntN(3))
	add(0.06, 'q', 0)
	add(0.06, 'D', 0)
	if m.root {
		add(0.08, 'o', 0)
	}
	for m.left > 0 && m.Float64() < 0.75/float64(depth+1)+0.15 {
		m.left--
		name := "ffrrrrvu"[m.IntN(8)]
		child := step{name: name, child: m.program(depth+1, name == 'f' || name == 'v')}
		if name == 'u' {
			child.n = m.IntN(4)
		}
		p = append(p, child)
		add(0.1, 'd', m.IntN(20))
	}
	add(0.1, 'z', 0)
	if m.left > 0 && m.Float64() < 0.04 {
		m.left -= 3
		// The last of the line hangs, and is there to be found.
		p = append(p, step{name: 'r', child: append(program{{name: 'y', n: 1 + m.IntN(400)}}, m.end()...)})
	}
	if m.left > 0 && m.Float64() < 0.02 {
		m.left -= 5
		p = append(p, step{name: 'r', child: append(program{{name: 'Y', n: 1 + m.IntN(5)}}, m.end()...)})
	}
	if !m.group {
		add(0.04, 'c', 1+m.IntN(300))
	}
	if !m.finite {
		add(0.03, 'l', 1+m.IntN(40))
		add(0.04, 'p', 0)
		if !execd {
			add(0.06, 'k', 0)
		}
		add(0.03, 'K', 0)
	}
	if m.left > 0 && m.Float64() < 0.06 {
		m.left--
		return append(p, step{name: 'e', child: m.program(depth+1, true)})
	}
	return append(p, m.end()...)
}

// end is how a process goes on at last.
func (m *maker) end() program {
	late := program{{name: 'd', n: m.IntN(60)}, {name: 'x', n: m.IntN(4)}}
	switch {
	case m.finite && m.Float64() < 0.3:
		return append(program{{name: 'w'}}, late[1])
	case m.finite || m.Float64() < 0.3:
		return late[m.IntN(2):]
	}
	return program{{name: 'h'}}
}
