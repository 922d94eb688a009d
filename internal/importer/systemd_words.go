package importer

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"unicode/utf8"
)

// unquote splits a text into words as systemd does: blanks, quotes, and escapes as in C.
func unquote(text string) (words []string, err error) {
	return split(text, func(rest string, _ byte) (int, string, error) { return unescape(rest) })
}

var escapes = map[byte]string{
	'a': "\a", 'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v",
	'\\': `\`, '"': `"`, '\'': `'`, 's': " ", ';': "\x01;", ' ': " ", '$': "$", '%': "%",
}

// unescape reads what stands behind a backslash. "\;" becomes a text of its own, which is
// told from the ; between two commands.
func unescape(text string) (taken int, out string, err error) {
	if text == "" {
		return 0, `\`, nil
	}
	digits := map[byte]struct{ n, base int }{'x': {2, 16}, 'u': {4, 16}, 'U': {8, 16}}
	if d, ok := digits[text[0]]; ok {
		if len(text) <= d.n {
			return 0, "", fmt.Errorf("%q: too few digits", `\`+text)
		}
		n, err := strconv.ParseUint(text[1:1+d.n], d.base, 32)
		if err != nil || n == 0 || d.n > 2 && !utf8.ValidRune(rune(n)) {
			return 0, "", fmt.Errorf("%q is no character", `\`+text[:1+d.n])
		}
		if d.n == 2 {
			return 3, string([]byte{byte(n)}), nil
		}
		return 1 + d.n, string(rune(n)), nil
	}
	if text[0] >= '0' && text[0] <= '7' {
		if len(text) < 3 {
			return 0, "", fmt.Errorf("%q: too few digits", `\`+text)
		}
		n, err := strconv.ParseUint(text[:3], 8, 8)
		if err != nil || n == 0 {
			return 0, "", fmt.Errorf("%q is no character", `\`+text[:3])
		}
		return 3, string([]byte{byte(n)}), nil
	}
	if out, ok := escapes[text[0]]; ok {
		return 1, out, nil
	}
	return 1, `\` + text[:1], nil
}

// specifier gives what %x stands for in a unit; ok is false where that isn't known.
func (u *unit) specifier(c byte) (text string, ok bool) {
	prefix, _, _ := strings.Cut(u.base(), "@")
	home, runtime, state, cache, logs, etc, user := "/root", "/run", "/var/lib", "/var/cache", "/var/log", "/etc", "root"
	if u.ofUser() {
		home = mark + "HOME" + mark
		runtime, user = mark+"XDG_RUNTIME_DIR"+mark, mark+"USER"+mark
		state, cache, logs, etc = home+"/.local/state", home+"/.cache", home+"/.local/state/log", home+"/.config"
	}
	switch c {
	case '%':
		return "%", true
	case 'n':
		return u.name, true
	case 'N':
		return u.base(), true
	case 'p', 'P':
		return prefix, true
	case 'i', 'I':
		return u.instance, u.instance != "" || !strings.Contains(u.name, "@")
	case 'j', 'J':
		return prefix[strings.LastIndexByte(prefix, '-')+1:], true
	case 'h':
		return home, true
	case 't':
		return runtime, true
	case 'S':
		return state, true
	case 'C':
		return cache, true
	case 'L':
		return logs, true
	case 'E':
		return etc, true
	case 'T':
		return "/tmp", true
	case 'V':
		return "/var/tmp", true
	case 'u':
		return user, true
	case 's':
		return "/bin/sh", true
	case 'U', 'G':
		return "0", !u.ofUser()
	case 'g':
		return "root", !u.ofUser()
	case 'H':
		host, err := os.Hostname()
		return host, err == nil
	}
	return "", false
}

// ofUser says whether it is a unit of a user's own service manager.
func (u *unit) ofUser() bool {
	return strings.Contains(u.path, "systemd/user/")
}

// specifiers replaces %n and the like. What isn't known is told, and left as it is.
func (r *reader) specifiers(u *unit, s *setting, text string, told *[]Remark) string {
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		if text[i] != '%' || i+1 == len(text) {
			b.WriteByte(text[i])
			continue
		}
		i++
		value, ok := u.specifier(text[i])
		if !ok {
			value = "%" + text[i:i+1]
			*told = append(*told, s.remark("what %s is isn't known here: put it in by hand", value))
		}
		b.WriteString(value)
	}
	return b.String()
}
