package main

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestSharedTerminalShowsTextAndColours(t *testing.T) {
	for in, want := range map[string]string{
		"plain\ttext ü 漢":                                            "plain\ttext ü 漢",
		"\x1b[2J\x1b[3J\x1b[H\x1bc\x1b[32mgreen\x1b[0m":              "\x1b[32mgreen\x1b[0m",
		"\x1b[1;38;5;9mbold\x1b[38:2::1:2:3mrgb\x1b[m":               "\x1b[1;38;5;9mbold\x1b[38:2::1:2:3mrgb\x1b[m",
		"\x1b[>4;1mkeys\x1b[?25lcursor\x1b[?1049hother":              "keyscursorother",
		"\x1b[ mno colour":                                           "no colour",
		"\u009b2Jeight\u009b31mred":                                  "eight\x1b[31mred",
		"\x9b2Jraw\x9b31mred\xff":                                    "raw\x1b[31mred\xff",
		"\u0085next\u008dup\x84":                                     "nextup",
		"\x1b]0;title\aone\x1b]2;title\x1b\\two\u009d0;t\u009cthree": "onetwothree",
		"\x1b]8;;http://a\x1b\\link\x1b]8;;\x1b\\":                   "link",
		"\x1bPq#0\x1b\\\x1b_x\x1b\\\x1b^y\x1b\\sixel":                "sixel",
		"\x1b]0;no end of it":                                        "0;no end of it",
		"\x1b]0;broken off\x18rest":                                  "rest",
		"\x1b(0charset\x1b#8\x1b7\x1bM\x1b%G":                        "charset",
		"cut\x1b[3":                                                  "cut",
		"cut\x1b":                                                    "cut",
		"cut\x1b(":                                                   "cut",
		"\x1b\x1b[2Jtwice":                                           "twice",
		"\x1b[2\x1b[1mnested":                                        "\x1b[1mnested",
		"\x1b[3ümlaut":                                               "ümlaut",
		"10%\r20%\rall":                                              "all",
		"line\r":                                                     "line",
		"line\r\r":                                                   "line",
		"\x1b[33m10%\r20%\x1b[0m\r":                                  "\x1b[33m20%\x1b[0m",
		"\x1b[33m10%\x1b[0m\rend":                                    "\x1b[0mend",
		"a\b\bbc\bd":                                                 "bd",
		"\x1b[1m\b\bx":                                               "\x1b[1mx",
		"nul\x00so\x0evt\x0bff\x0cdel\x7f":                           "nulsovtffdel",
	} {
		if got := string(cleaned([]byte(in))); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestLineOfUnendedStringsIsShownInGoodTime(t *testing.T) {
	line := bytes.Repeat([]byte("\x1b]\x1bP"), 1<<20)
	if got := cleaned(append(line, "end"...)); string(got) != "end" {
		t.Errorf("%d bytes are left", len(got))
	}
}

// Whatever comes, only colours are left of the sequences; and cut wherever it may be, a line
// is shown as it is in one.
func FuzzSharedTerminal(f *testing.F) {
	f.Add([]byte("\x1b[2J\u009b1m\x1b]0;a\x1b\\b\rc\bd\x9bJ"), 3)
	f.Add([]byte("\x1b]0;title\aone \x1b[32mtwo"), 6)
	f.Add([]byte("\xc2"), 1)
	f.Fuzz(func(t *testing.T, line []byte, cut int) {
		out := cleaned(line)
		for rest := out; ; {
			_, after, found := bytes.Cut(rest, []byte("\x1b"))
			if !found {
				break
			}
			end := bytes.IndexByte(after, 'm')
			if end < 1 || after[0] != '[' || strings.Trim(string(after[1:end]), "0123456789:;") != "" {
				t.Fatalf("%q: %q", line, out)
			}
			rest = after[end+1:]
		}
		for rest := out; len(rest) > 0; {
			r, size := utf8.DecodeRune(rest)
			if r < ' ' && r != '\t' && r != '\a' && r != '\x1b' || r >= 0x7f && r < 0xa0 || size == 1 && rest[0] >= 0x80 && rest[0] < 0xa0 {
				t.Fatalf("%q: %q", line, out)
			}
			rest = rest[size:]
		}
		if bytes.ContainsAny(line, "\r\b") || bytes.Contains(line, []byte("\x1b]")) || cut < 0 || cut > len(line) || !utf8.Valid(line) {
			return
		}
		begun, used := clean(line[:cut], false)
		if got := append(begun, cleaned(line[used:])...); !bytes.Equal(got, out) {
			t.Fatalf("%q, cut at %d: %q, want %q", line, cut, got, out)
		}
	})
}
