package importer

import (
	"slices"
	"strings"
	"testing"
)

func TestShlexSplitsAsPythonDoes(t *testing.T) {
	for text, want := range map[string][]string{
		"":                          nil,
		`a  b`:                      {"a", "b"},
		`a "b c"d 'e"f'`:            {"a", "b cd", `e"f`},
		`a\ b "c\"d\x" 'e\f'`:       {"a b", `c"d\x`, `e\f`},
		`"" ''`:                     {"", ""},
		"a\n  b":                    {"a", "b"},
		`sh -c "a | b; c" > out &x`: {"sh", "-c", "a | b; c", ">", "out", "&x"},
	} {
		if got, err := shlex(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`"a`, `'a`, `a\`} {
		if got, err := shlex(text); err == nil {
			t.Errorf("%q: got %q; want an error", text, got)
		}
	}
}

func TestUnquoteSplitsAsSystemdDoes(t *testing.T) {
	for text, want := range map[string][]string{
		`/bin/a "b c" 'd e'`:        {"/bin/a", "b c", "d e"},
		`a\x20b\tc\\ \u00e9 \101\s`: {"a b\tc\\", "é", "A "},
		`'a\'b' "c\"d"`:             {"a'b", `c"d`},
		`a ; b`:                     {"a", ";", "b"},
		`a \; b`:                    {"a", "\x01;", "b"},
	} {
		if got, err := unquote(text); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`"a`, `\x0`, `\x00`, `\xzz`, `\000`, `\9`, `\uD800`} {
		if got, err := unquote(text); err == nil && text != `\9` {
			t.Errorf("%q: got %q; want an error", text, got)
		}
	}
}

func TestExpansionsAreThoseOfSupervisord(t *testing.T) {
	e := expansions{"program_name": "web", "process_num": 7, "here": "/etc"}
	for text, want := range map[string]any{
		"%(program_name)s_%(process_num)02d": "web_07",
		"%(process_num)3d|%(process_num)-3d": "  7|7  ",
		"100%% %(here)s":                     "100% /etc",
		"%(ENV_HOME)s/x":                     expression("${HOME}/x"),
		"$%(ENV_A)s${B}$$":                   expression("$$${A}$${B}$$$"),
		"$%(process_num)d":                   "$7",
	} {
		got, err := e.expand(&option{key: "k", value: text})
		if err != nil || unmarked(got) != want {
			t.Errorf("%q: got %#v, %v; want %#v", text, unmarked(got), err, want)
		}
	}
	for _, text := range []string{"%", "5%", "%(nothing)s", "%(program_name)d", "%x", "%(process_num)999d", "%(here)"} {
		if got, err := e.expand(&option{key: "k", value: text}); err == nil {
			t.Errorf("%q: got %q; want an error", text, got)
		}
	}
}

func TestPairsAreReadAsSupervisordDoes(t *testing.T) {
	keys, values, err := pairs("A=\"1,2\",B='x y',\n  C=/a/b:c-d , D=\"\",")
	if err != nil || strings.Join(keys, " ") != "A B C D" || strings.Join(values, "|") != "1,2|x y|/a/b:c-d|" {
		t.Errorf("got %q, %q, %v", keys, values, err)
	}
	for _, text := range []string{"A", "=b", `A="b`, `A="b"c`, "A=1,B"} {
		if keys, values, err := pairs(text); err == nil {
			t.Errorf("%q: got %q, %q; want an error", text, keys, values)
		}
	}
}

func TestININamesTheLineOfWhatItCantRead(t *testing.T) {
	for text, want := range map[string]string{
		"k=v":                  `f:1: "k=v" stands before the first [section]`,
		"\n[a\n":               `f:2: "[a" has no closing ]`,
		"[a]\n; c\nword\n":     `f:3: expected key=value: got "word"`,
		"[a]\n=v":              `f:2: expected key=value: got "=v"`,
		"[a]\nk=v\n\n[b]\nx\n": `f:5: expected key=value: got "x"`,
	} {
		_, err := parseINI(input{path: "f", lines: strings.Split(text, "\n")})
		if err == nil || err.Error() != want {
			t.Errorf("%q: got %v; want %s", text, err, want)
		}
	}
}

func TestNamesAreMadeOnesThatFosterTakes(t *testing.T) {
	d := &draft{}
	for name, want := range map[string]string{
		"web": "web", "web.2": "web-2", "a@b": "a-b", "-x-": "x", "…": "app", "a..b": "a.b",
		strings.Repeat("x", 60): strings.Repeat("x", 48),
	} {
		if got := d.add(name, Remark{}); got.name != want || (len(got.remarked) > 0) != (name != want) {
			t.Errorf("%q became %q, %v; want %q", name, got.name, got.remarked, want)
		}
	}
	if got := d.add("web", Remark{}); got.name != "web-3" {
		t.Errorf("a third web became %q", got.name)
	}
}
