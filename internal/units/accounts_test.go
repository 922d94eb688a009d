//go:build !darwin

package units

import (
	"bytes"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/foster-init/foster/internal/hosttest"
)

// setDatabase has the files of the user database hold a text for one test.
func setDatabase(t *testing.T, passwd, group, nss string) {
	t.Helper()
	dir := t.TempDir()
	for file, text := range map[*string]string{&passwdFile: passwd, &groupFile: group, &nssFile: nss} {
		was := *file
		t.Cleanup(func() { *file = was })
		*file = filepath.Join(dir, filepath.Base(was))
		if err := os.WriteFile(*file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestAccountsAreThoseOfTheSystem(t *testing.T) {
	b, err := os.ReadFile(passwdFile)
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(b) {
		name, _, _ := strings.Cut(string(line), ":")
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		want, err := u.GroupIds()
		if err != nil {
			t.Fatal(err)
		}
		a, ok := findAccount(name)
		if !ok || strconv.Itoa(int(a.uid)) != u.Uid || strconv.Itoa(int(a.gid)) != u.Gid || a.home != u.HomeDir || a.name != name {
			t.Errorf("%s: got %+v, %v; want %+v", name, a, ok, u)
		}
		groups, err := groupsOf(a)
		var got []string
		for _, g := range groups {
			got = append(got, strconv.Itoa(int(g)))
		}
		slices.Sort(got)
		slices.Sort(want)
		if err != nil || !slices.Equal(got, slices.Compact(want)) {
			t.Errorf("%s: groups %v, %v; want %v", name, got, err, want)
		}
	}
}

func TestAccountsOfOddFiles(t *testing.T) {
	setDatabase(t, strings.Join([]string{
		"# a comment", "", "+@staff::::::", ":x:1:1::/:", "short:x:7",
		"web:x:5001:5002:Web,,,:/srv/web:/bin/sh", "5001:x:6001:6001::/odd:", "bad:x:one:1::/:",
		"  late:x:5003:5004::/late:/bin/sh",
	}, "\n"), "www:x:5002:\nlogs:x:5005:web,late\nother:x:5006:webmaster,myweb\nsame:x:5002:web\nbad:x:x:web\n", "")
	for name, want := range map[string]account{
		"web":  {"web", "/srv/web", 5001, 5002},
		"5001": {"5001", "/odd", 6001, 6001}, // a name comes before a number
		"5003": {"late", "/late", 5003, 5004},
		"late": {"late", "/late", 5003, 5004},
	} {
		if got, ok := lookupUser(name); !ok || got != want {
			t.Errorf("%s: got %+v, %v; want %+v", name, got, ok, want)
		}
	}
	for _, name := range []string{"", "short", "bad", "+@staff", "web:x", "absent", "Web,,,"} {
		if got, ok := lookupUser(name); ok {
			t.Errorf("%q: got %+v, want nobody", name, got)
		}
	}
	if groups, err := groupsOf(account{name: "web", gid: 5002}); err != nil || !slices.Equal(groups, []uint32{5002, 5005}) {
		t.Errorf("the groups of web: %v, %v", groups, err)
	}
	if UserName(5001) != "web" || UserName(6001) != "5001" || UserName(4999) != "" {
		t.Errorf("names: %q, %q, %q", UserName(5001), UserName(6001), UserName(4999))
	}
}

// What the files don't have is asked for where there are other sources.
func TestAccountsOfOtherSources(t *testing.T) {
	if _, err := os.Stat("/usr/bin/getent"); err != nil {
		hosttest.Need(t, "has:getent", errors.New("no getent"))
	}
	setDatabase(t, "", "", "passwd: files sss\ngroup:\tfiles [NOTFOUND=continue] ldap # more\n")
	if a, ok := findAccount("root"); !ok || a.uid != 0 || a.home == "" {
		t.Errorf("root: %+v, %v", a, ok)
	}
	if _, ok := findGroup("root"); !ok {
		t.Error("there is no group root")
	}
	setDatabase(t, "", "", "passwd: files\ngroup: compat\n")
	if a, ok := findAccount("root"); ok {
		t.Errorf("root is not in the files: %+v", a)
	}
}

func TestAPrivateGroupHasOneUser(t *testing.T) {
	const passwd = "me:x:42001:42001::/home/me:/bin/sh\nyou:x:42002:42002::/home/you:/bin/sh\nguest:x:42003:42002::/:/bin/sh\nteam:x:42004:100::/:/bin/sh\n"
	setDatabase(t, passwd, "me:x:42001:\nyou:x:42002:\nusers:x:100:\nself:x:42005:\nteam:x:42006:me\n", "passwd: files\ngroup: files\n")
	for _, try := range []struct {
		uid, gid int
		want     bool
	}{
		{42001, 42001, true},
		{42001, 42002, false}, // another's
		{42002, 42002, false}, // guest has it as primary group
		{42004, 100, false},   // a common one
		{42004, 42006, false}, // of its name, with another member
		{42009, 42009, false}, // nobody knows that user
	} {
		if got := PrivateGroup(try.uid, try.gid); got != try.want {
			t.Errorf("the group %d of user %d: %v, want %v", try.gid, try.uid, got, try.want)
		}
	}
}
