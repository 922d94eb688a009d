package escape

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

// hostile has a character of each kind that isn't shown as itself.
const hostile = "\x00\x1b[31m\x7f\u0085\u009b2J\u00a0\u00ad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a\u202e\u2060\u2066\u2069\ufeff\ufff9\ue000\U000e0041\U0010fffd"

func TestTextIsShownAsItself(t *testing.T) {
	for _, s := range []string{"", "sleep", "naïve 日本 😀 a\u0301", `back\slash "quoted"`} {
		if got := Text(s); got != s {
			t.Errorf("%q became %q", s, got)
		}
	}
	for _, r := range hostile {
		if r > ' ' && r < 0x7f {
			continue
		}
		if got := Text("a" + string(r)); len(got) < 3 || !strings.HasPrefix(got, `a\`) {
			t.Errorf("%U became %q", r, got)
		}
	}
	if got := Text("\x9b31m"); got != `\x9b31m` {
		t.Errorf("a byte that isn't UTF-8 became %q", got)
	}
}

func TestJSONIsShownAsItselfAndMeansTheSame(t *testing.T) {
	want := map[string]any{"name": hostile, "é<&>\u202e": []any{"naïve 日本 😀", 1.5, nil, true}}
	var b strings.Builder
	e := JSON(&b)
	e.SetIndent("", "  ")
	if err := e.Encode(want); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsFunc(b.String(), func(r rune) bool { return r != '\n' && !unicode.IsPrint(r) }) {
		t.Errorf("%q", b.String())
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(b.String()), &got); err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%v, %q", err, got)
	}
	if !strings.Contains(b.String(), "日本 😀") || !strings.Contains(b.String(), "<&>") {
		t.Errorf("what is shown as itself was escaped: %s", b.String())
	}
}

func FuzzEscapedTextMeansTheSame(f *testing.F) {
	f.Add(hostile)
	f.Add("\xff\u009b")
	f.Fuzz(func(t *testing.T, s string) {
		if strings.ContainsFunc(Text(s), func(r rune) bool { return !unicode.IsPrint(r) }) || !utf8.ValidString(Text(s)) {
			t.Errorf("%q", Text(s))
		}
		var b strings.Builder
		if err := JSON(&b).Encode(s); err != nil {
			t.Fatal(err)
		}
		var got string
		if err := json.Unmarshal([]byte(b.String()), &got); err != nil || got != strings.ToValidUTF8(s, "\ufffd") && utf8.ValidString(s) {
			t.Errorf("%q became %q: %v", s, got, err)
		}
	})
}
