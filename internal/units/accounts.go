//go:build !darwin

package units

import (
	"bytes"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/foster-init/foster/internal/sys"
)

// The user database is read without os/user, which links each program that imports it to
// libc: such a program takes twice as long to start, and the shim is a start of it. Files
// are read here; where nsswitch.conf(5) names other sources, getent(1) is asked for what
// they don't have.

// Variables, for tests; nothing else sets them.
var (
	passwdFile = "/etc/passwd"
	groupFile  = "/etc/group"
	nssFile    = "/etc/nsswitch.conf"
)

// findAccount looks up a user by name.
func findAccount(name string) (account, bool) {
	return parseAccount(find("passwd", passwdFile, 0, name))
}

// findAccountOf looks up a user by number.
func findAccountOf(uid uint32) (account, bool) {
	return parseAccount(find("passwd", passwdFile, 2, strconv.FormatUint(uint64(uid), 10)))
}

// parseAccount takes the fields of a line of passwd(5).
func parseAccount(line []string) (account, bool) {
	if len(line) < 6 {
		return account{}, false
	}
	uid, err1 := strconv.ParseUint(line[2], 10, 32)
	gid, err2 := strconv.ParseUint(line[3], 10, 32)
	return account{name: line[0], home: line[5], uid: uint32(uid), gid: uint32(gid)}, err1 == nil && err2 == nil
}

// findGroup looks up a group by name.
func findGroup(name string) (uint32, bool) {
	line := find("group", groupFile, 0, name)
	if len(line) < 3 {
		return 0, false
	}
	gid, err := strconv.ParseUint(line[2], 10, 32)
	return uint32(gid), err == nil
}

// privateGroup says whether a group is that of one user, and of nobody else as far as the
// user database tells.
func privateGroup(a account, gid uint32) bool {
	line := find("group", groupFile, 2, strconv.FormatUint(uint64(gid), 10))
	if a.gid != gid || len(line) < 4 || line[0] != a.name || line[3] != "" && line[3] != a.name {
		return false
	}
	b, err := os.ReadFile(passwdFile)
	for line := range entries(b) {
		if other, ok := parseAccount(line); ok && other.gid == gid && other.uid != a.uid {
			return false
		}
	}
	return err == nil
}

// groupsOf are the groups that a user is in, the primary one first.
func groupsOf(a account) ([]uint32, error) {
	groups := []uint32{a.gid}
	add := func(number string) {
		gid, err := strconv.ParseUint(number, 10, 32)
		if err == nil && !slices.Contains(groups, uint32(gid)) {
			groups = append(groups, uint32(gid))
		}
	}
	b, err := os.ReadFile(groupFile)
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	for line := range entries(b) {
		if len(line) >= 4 && slices.Contains(strings.Split(line[3], ","), a.name) {
			add(line[2])
		}
	}
	if moreSources("initgroups") || moreSources("group") {
		if f := strings.Fields(string(getent("initgroups", a.name))); len(f) > 1 {
			for _, number := range f[1:] {
				add(number)
			}
		}
	}
	return groups, nil
}

// find is the entry of a database whose field is as given; nil: there is none.
func find(database, file string, field int, value string) []string {
	if value == "" || strings.ContainsAny(value, ":\n") {
		return nil
	}
	b, _ := os.ReadFile(file) // without it, there may be another source
	look := func(b []byte) []string {
		for line := range entries(b) {
			if len(line) > field && line[field] == value {
				return line
			}
		}
		return nil
	}
	if line := look(b); line != nil {
		return line
	}
	if strings.HasPrefix(value, "-") || !moreSources(database) {
		return nil
	}
	return look(getent(database, value))
}

// entries are the lines of a database of which each has fields between colons. Blank
// lines, comments, and lines that stand for another source (nsswitch.conf(5), compat) are
// left out.
func entries(b []byte) func(yield func([]string) bool) {
	return func(yield func([]string) bool) {
		for line := range bytes.Lines(b) {
			text := strings.TrimSpace(string(line))
			if text == "" || strings.ContainsAny(text[:1], "#+-:") {
				continue
			}
			if !yield(strings.Split(text, ":")) {
				return
			}
		}
	}
}

// moreSources says whether a database has other sources than its file.
func moreSources(database string) bool {
	b, err := os.ReadFile(nssFile)
	if err != nil {
		return false
	}
	for line := range bytes.Lines(b) {
		text, _, _ := strings.Cut(string(line), "#")
		name, sources, ok := strings.Cut(text, ":")
		if ok && strings.TrimSpace(name) == database {
			return slices.ContainsFunc(strings.Fields(sources), func(s string) bool {
				return s != "files" && s != "compat" && s[0] != '['
			})
		}
	}
	return false
}

// getent asks all sources of a database; nil where there is no such entry, or no getent.
func getent(database, key string) []byte {
	for _, path := range []string{"/usr/bin/getent", "/bin/getent"} {
		if _, err := os.Stat(path); err == nil {
			return sys.OutputOf(path, database, key)
		}
	}
	return nil
}
