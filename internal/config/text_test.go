package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

func vars(name string) (string, bool) {
	v, ok := map[string]string{"A": "a", "EMPTY": "", "BLANKS": "x y", "DOLLAR": "${A}"}[name]
	return v, ok
}

func TestExpand(t *testing.T) {
	for text, want := range map[string]string{
		"": "", "x": "x", "${A}": "a", "x${A}y": "xay", "$A": "$A", "$": "$", "a$": "a$", "$$": "$", "$${A}": "${A}", "$$$$": "$$", "$$$ ": "$$ ",
		"${NO:-d}": "d", "${NO-d}": "d", "${EMPTY:-d}": "d", "${EMPTY-d}": "", "${A:-d}": "a", "${NO:-}": "", "${NO:-a b}": "a b",
		"${A:+alt}": "alt", "${A+alt}": "alt", "${NO:+alt}": "", "${EMPTY:+alt}": "", "${EMPTY+alt}": "alt", "${A:?no}": "a", "${EMPTY?no}": "",
		"${NO:-${A}}": "a", "${NO:-${NONE:-x${A}}}}": "xa}", "${NO:-$$}": "$", "${NO:-a}b}": "ab}", "${DOLLAR}": "${A}",
		"${FOSTER_APP}": "${FOSTER_APP}", "${FOSTER_REPLICA:-1}": "${FOSTER_REPLICA}",
	} {
		if got, _, err := expand(text, vars); err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"${NO}": "NO isn't set", "${NO:?why}": "NO is needed: why", "${EMPTY:?why ${A}}": "needed: why a", "${NO?}": "NO is needed: it isn't set",
		"${": "closing", "${A": "closing", "${}": "no variable", "${ A}": "no variable", "${9}": "no variable", "${A!}": "expected }", "${A:}": "expected :-", "${A:=x}": "expected :-",
		"${NO:-${NONE}}": "NONE isn't set", strings.Repeat("${NO:-", 20) + strings.Repeat("}", 20): "8 deep",
	} {
		if got, _, err := expand(text, vars); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestSplit(t *testing.T) {
	for text, want := range map[string][]string{
		"a": {"a"}, " a  b\tc\n": {"a", "b", "c"}, `a "b c" 'd e' f\ g`: {"a", "b c", "d e", "f g"}, `a "" ''`: {"a", "", ""},
		`a"b"'c'd`: {"abcd"}, `"a'b" 'c"d'`: {"a'b", `c"d`}, `"a\"b\\c\d"`: {`a"b\c\d`}, `'a\b'`: {`a\b`}, `\"a`: {`"a`}, `a\\b`: {`a\b`},
		"a ${X} b": {"a", "${X}", "b"}, `"${X} y"`: {"${X} y"}, "${X:-a b}": {"${X:-a b}"}, "'$x'": {"$x"}, `\$x`: {"$$x"}, `"\$x"`: {"$$x"}, "a$$b": {"a$$b"},
		"a b # comment": {"a", "b"}, "a#b": {"a#b"}, "a *.go ~/x {b,c}": {"a", "*.go", "~/x", "{b,c}"}, "": {}, "a \\\n b": {"a", "b"}, "a=b": nil,
		"a b=c": {"a", "b=c"}, "é ü": {"é", "ü"}, "a|b": nil, "a;b": nil, "a;": nil, "a&": nil, "a\nb": nil, "(a)": nil, "a `b`": nil, "a $(b)": nil, "a $((1))": nil,
		"a <b": nil, "! a": nil, "if a; then b; fi": nil, "a $X": nil, "a $1": nil, `a "b`: nil, "a ${X": nil, "a )": nil, "a $'b'": {"a", "$b"},
	} {
		got, err := split(text)
		if want == nil && err == nil || want != nil && (err != nil || !slices.Equal(got, want)) {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
}

func TestVariablesAreNeverSplit(t *testing.T) {
	p := mustLoad(t, "apps:\n  a: {command: \"x ${B} '${B}' \\\"${B}\\\" ${NO:-p q}\"}\n", "B=it's a | \"b\" $C ${A}")
	b := "it's a | \"b\" $C ${A}"
	same(t, "command", p.Apps[0].Command, []string{"x", b, b, b, "p q"})
}

func TestEnvFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.env")
	text := "# comment\n\nA=1\nexport B = two words  # comment\nC='$X ${A} #'\nD=\"a\\nb \\\"q\\\" \\$x\"\nE=\nF=a#b\nG=\"two\nlines\" # comment\nH=${A}${EMPTY:-x}\r\nI=x=y\nJ=\\n\nK='two\nlines'\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	d := decoder{vars: vars}
	p := &d.problems
	got, err := d.readEnv("x.env", path)
	want := []variable{{"A", "1"}, {"B", "two words"}, {"C", "$X ${A} #"}, {"D", "a\nb \"q\" $x"}, {"E", ""}, {"F", "a#b"}, {"G", "two\nlines"}, {"H", "ax"}, {"I", "x=y"}, {"J", `\n`}, {"K", "two\nlines"}}
	if err != nil || p.err() != nil || !slices.Equal(got, want) {
		t.Errorf("got %q, %v, %v", got, err, p.err())
	}
	text = "A\n=b\n1 2=3\nB=\"x\nC=\"x\" y\nD=${NO}\nE=a\x00b\nF=\"a\x00\"\n"
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err = d.readEnv("x.env", path); err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, problem := range p.list {
		lines = append(lines, oneLine(problem))
	}
	same(t, "problems", lines, []string{
		`1:1 : "A" is not NAME=value`, `2:1 : "=b" is not NAME=value`, `3:1 : "1 2=3" is not NAME=value`,
		`4:1 : "x\" y" follows the value of B`, `6:1 : D: the variable NO isn't set`,
		`7:1 : a zero byte can't be part of the value of E`, `8:1 : a zero byte can't be part of the value of F`,
	})
}

func TestNearest(t *testing.T) {
	for word, want := range map[string]string{"comand": "command", "commnad": "command", "cmd": "", "replica": "replicas", "xyz": "", "": "", "u": "", "bd": "db"} {
		if got := nearest(word, []string{"command", "replicas", "user", "db"}); got != want {
			t.Errorf("%q: got %q, want %q", word, got, want)
		}
	}
}

// No file makes foster panic, hang or take more than a bounded amount of memory, and all
// that is told of it has a place.
func FuzzLoad(f *testing.F) {
	for _, seed := range []string{
		"apps: {a: {command: x}}", "apps:\n  a: {extends: b}\n  b: {extends: a}\n", "a: &a [*a]", "<<: *x", "x-a: &a [1,1]\nx-b: &b [*a,*a]\napps: *b",
		"apps: {a: {command: \"${A:-${B}}\", environment: [A=b, C]}}", "apps: {a: {command: [x], depends_on: {b: }, schedule: '@daily', readiness_probe: {tcp: 1}}}",
		"include: foster.yaml", "? [a]\n: b", "\xff\xfe", "apps: {a: {command: 'a \"b', sockets: [{address: ':1'}], lease: 1h, watch: x, logs: {max_size: 1}}}",
	} {
		f.Add([]byte(seed), false)
	}
	f.Add([]byte(everyKey), false)
	f.Add([]byte("web: x $PORT\n"), true)
	f.Fuzz(func(t *testing.T, data []byte, procfile bool) {
		name := "foster.yaml"
		if procfile {
			name = "Procfile"
		}
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
		p, err := Load(Source{Dir: dir, Environ: []string{"A=b"}})
		if (p == nil) == (err == nil) {
			t.Fatalf("got %v and %v", p, err)
		}
		for _, problem := range problemsOf(err) {
			if problem.File == "" || problem.Text == "" || problem.Line < 0 || problem.Line > 0 && problem.Column < 1 {
				t.Errorf("got %+v", problem)
			}
			_, _ = problem.String(), problem.Caret()
		}
		if err != nil && problemsOf(err) == nil {
			t.Errorf("not a list of problems: %v", err)
		}
		if p != nil {
			for _, a := range p.Apps {
				if len(a.Command) == 0 || a.Command[0] == "" || !filepath.IsAbs(a.Dir) {
					t.Errorf("got %+v", a)
				}
			}
			resolved, err := json.Marshal(p.Resolved())
			if err == nil {
				err = os.WriteFile(filepath.Join(dir, "resolved.yaml"), resolved, 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Load(Source{Dir: dir, Files: []string{"resolved.yaml"}, Environ: []string{}}); err != nil {
				t.Errorf("%v in\n%s", err, resolved)
			}
		}
	})
}

func FuzzSplit(f *testing.F) {
	for _, seed := range []string{`a "b c" 'd' \e`, "a ${B:-c d} $$", "a | b", "\\", "'"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		words, err := split(text)
		if err != nil {
			return
		}
		// Words in single quotes are these words.
		var quoted []string
		for _, w := range words {
			quoted = append(quoted, "'"+strings.ReplaceAll(w, "'", `'\''`)+"'")
		}
		again, err := split(strings.Join(quoted, " "))
		if err != nil || !slices.Equal(words, again) {
			t.Errorf("%q: got %q, and then %q, %v", text, words, again, err)
		}
	})
}

func FuzzExpand(f *testing.F) {
	for _, seed := range []string{"${A}", "${NO:-${A}}", "$$", "${A:+b}", "${"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, _, err := expand(text, vars)
		if err != nil {
			if err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		if len(got) > len(text)+mostText {
			t.Errorf("%.100q became %d bytes", text, len(got))
		}
		// What was expanded is text: with its dollars doubled, it stays as it is.
		if again, _, err := expand(strings.ReplaceAll(got, "$", "$$"), vars); err != nil || again != got {
			t.Errorf("%q became %q, %v", got, again, err)
		}
	})
}

// A few lines of YAML that stand for a billion values are refused, and soon.
func TestAliasesAreBounded(t *testing.T) {
	var b strings.Builder
	b.WriteString("x-0: &a0 [x, x, x, x, x, x, x, x, x, x]\n")
	for i := range 9 {
		n := string(rune('0' + i))
		b.WriteString("x-" + string(rune('1'+i)) + ": &a" + string(rune('1'+i)) + " [" + strings.Repeat("*a"+n+", ", 10) + "]\n")
	}
	b.WriteString("apps: *a9\n")
	_, err := load(t, b.String())
	if err == nil || !strings.Contains(err.Error(), "more than 200000 values") {
		t.Errorf("got %v", err)
	}
	for _, text := range []string{"apps: &a {x: *a}\n", "apps: " + strings.Repeat("[", 5000) + "\n", "apps: " + strings.Repeat("[", 90) + strings.Repeat("]", 90) + "\n"} {
		if _, err := load(t, text); err == nil {
			t.Errorf("%.20q was taken", text)
		}
	}
}

// What is large, or deep, is taken or refused soon.
func TestLoadTakesNoTimeWithoutBound(t *testing.T) {
	many := func(line string) string {
		var b strings.Builder
		for i := range 20_000 {
			fmt.Fprintf(&b, line, i)
		}
		return b.String()
	}
	for name, text := range map[string]string{
		"applications": "apps:\n" + many("  a%d: {command: x, extends: b}\n"),
		"unknown keys": "apps:\n  a:\n    command: x\n" + many("    comand%d: x\n"),
		"dependencies": "apps:\n  a:\n    command: x\n    depends_on:\n" + many("    - b%d\n"),
		"deep command": "apps:\n  a:\n    command: '" + strings.Repeat("(", 1<<19) + "'\n",
		"less deep":    "apps:\n  a:\n    command: '" + strings.Repeat("(", 32<<10) + "'\n",
		"deep shell":   "apps:\n  a:\n    command: '" + strings.Repeat("$(", 1<<19) + "'\n",
		"deep quotes":  "apps:\n  a:\n    command: '" + strings.Repeat("\"${x:-", 1<<16) + "'\n",
		"variables":    "apps:\n  a:\n    command: '" + strings.Repeat("${x:-", 1<<16) + strings.Repeat("}", 1<<16) + "'\n",
		"brackets":     "apps: " + strings.Repeat("[", 1<<20),
		"question":     strings.Repeat("? ", 1<<19),
		"dashes":       strings.Repeat("- ", 1<<19),
		"anchors":      "a: &a [" + strings.Repeat("*a, ", 1<<17) + "]\n",
	} {
		t.Run(name, func(t *testing.T) {
			begin := time.Now()
			_, err := load(t, text)
			if took := time.Since(begin); err == nil || took > time.Minute {
				t.Errorf("got %v after %v", err, took)
			}
		})
	}
}

// Each line of a .env file is a variable, or is told with its place; and what was read comes
// back as it was where it is written in single quotes.
func FuzzEnvFile(f *testing.F) {
	for _, seed := range []string{
		"A=b\nexport C = d # e\n", "A='b\nc'\nB=\"${A:-x}\\n$$\"\n", "A=\"", "=b", "A", "A=\x00", "A='b' c", "A=${B:?no}\nB=${A}${A}", "\xef\xbb\xbfA=b\r\n", "A=#b", "A=\"\\\"",
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "x.env")
		read := func(data []byte) ([]variable, []Problem) {
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			d := decoder{vars: func(name string) (string, bool) { return "value", name == "OUTSIDE" }}
			list, err := d.readEnv("x.env", path)
			if err != nil {
				t.Fatal(err)
			}
			return list, problemsOf(d.problems.err())
		}
		list, problems := read(data)
		lines := bytes.Count(data, []byte("\n")) + 1
		if len(list)+len(problems) > lines {
			t.Errorf("%d variables and %d problems in %d lines", len(list), len(problems), lines)
		}
		for _, p := range problems {
			if p.File != "x.env" || p.Line < 1 || p.Line > lines || p.Column < 1 || p.Text == "" {
				t.Errorf("a problem without its place: %+v", p)
			}
			_ = p.Caret()
		}
		var again bytes.Buffer
		for _, v := range list {
			if !validVariable(v.name) || len(v.value) > mostText || strings.IndexByte(v.value, 0) >= 0 {
				t.Fatalf("got %.100q=%.100q", v.name, v.value)
			}
			if strings.ContainsAny(v.name+v.value, "'\n\r") || strings.HasPrefix(v.name, "#") {
				return // not to be written like this
			}
			fmt.Fprintf(&again, "%s='%s'\n", v.name, v.value)
		}
		if same, problems := read(again.Bytes()); !slices.Equal(same, list) || len(problems) > 0 {
			t.Errorf("%q became %q, %v", list, same, problems)
		}
	})
}
