package activate

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/foster-init/foster/internal/leaktest"
)

func TestMain(m *testing.M) { leaktest.Main(m) }

func TestAddresses(t *testing.T) {
	for text, want := range map[string]address{
		"127.0.0.1:80":         {"tcp", "127.0.0.1:80"},
		":8080":                {"tcp", ":8080"},
		"[::1]:80":             {"tcp", "[::1]:80"},
		"localhost:0":          {"tcp", "localhost:0"},
		"tcp:127.0.0.1:80":     {"tcp", "127.0.0.1:80"},
		"udp:[::]:53":          {"udp", "[::]:53"},
		"unix:/run/a:b c.sock": {"unix", "/run/a:b c.sock"},
	} {
		if got, err := parse(text); err != nil || got != want {
			t.Errorf("%q: %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{
		"", "80", "a:b", "a:99999", "udp:53", "unix:", "unix:a.sock", "unix:@a", "unix:/" + strings.Repeat("x", 107), "::1:80:",
	} {
		if err := Check(text); err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

func FuzzAddress(f *testing.F) {
	for _, seed := range []string{"127.0.0.1:80", "unix:/a", "udp::1", "[::1]:2", "unix:"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		a, err := parse(text)
		switch {
		case err != nil:
			if !strings.Contains(err.Error(), strconv.Quote(text)) {
				t.Errorf("%v doesn't name %q", err, text)
			}
		case a.network == "unix":
			if !filepath.IsAbs(a.where) || strings.IndexByte(a.where, 0) >= 0 {
				t.Errorf("%q is %+v", text, a)
			}
		default:
			if _, port, err := net.SplitHostPort(a.where); err != nil || port == "" {
				t.Errorf("%q is %+v: %v", text, a, err)
			}
		}
	})
}

// taken opens sockets, which the set has until the end of the test.
func taken(t *testing.T, s *Set, want ...Spec) []*os.File {
	t.Helper()
	t.Cleanup(s.Close)
	files, err := s.Take(want)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func where(t *testing.T, f *os.File) string {
	t.Helper()
	l, err := net.FileListener(f)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestASocketStaysOpenUntilItIsNoLongerWanted(t *testing.T) {
	leaktest.Check(t)
	s := new(Set)
	a, b := Spec{Name: "a", Address: "127.0.0.1:0"}, Spec{Name: "b", Address: "udp:127.0.0.1:0"}
	first := taken(t, s, a, b)
	address := where(t, first[0])
	again := taken(t, s, b, a)
	if again[0] != first[1] || again[1] != first[0] {
		t.Error("other sockets were given")
	}
	taken(t, s, b)
	if c, err := net.Dial("tcp", address); err == nil {
		c.Close()
		t.Error("what isn't wanted still listens")
	}
}

func TestAUnixSocketHasItsModeAndIsRemoved(t *testing.T) {
	leaktest.Check(t)
	path := filepath.Join(t.TempDir(), "app.sock")
	s := new(Set)
	taken(t, s, Spec{Name: "a", Address: "unix:" + path, Mode: 0o666})
	info, err := os.Lstat(path)
	if err != nil || info.Mode() != os.ModeSocket|0o666 {
		t.Errorf("%v, %v", info.Mode(), err)
	}
	s.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("it is left: %v", err)
	}
}

// Who may write the folder can put another file in the socket's place before it has its mode.
func TestOnlyTheSocketItselfGetsItsMode(t *testing.T) {
	leaktest.Check(t)
	dir := t.TempDir()
	secret, link := filepath.Join(dir, "secret"), filepath.Join(dir, "link.sock")
	if err := errors.Join(os.WriteFile(secret, nil, 0o600), os.Symlink(secret, link)); err != nil {
		t.Fatal(err)
	}
	s := new(Set)
	defer s.Close()
	taken(t, s, Spec{Name: "a", Address: "unix:" + filepath.Join(dir, "app.sock"), Mode: 0o600})
	if err := os.Symlink("app.sock", filepath.Join(dir, "other.sock")); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{secret, link, filepath.Join(dir, "other.sock"), filepath.Join(dir, "none")} {
		if _, err := setMode(path, 0o666); err == nil || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", path, err)
		}
	}
	for _, path := range []string{secret, filepath.Join(dir, "app.sock")} {
		if info, err := os.Lstat(path); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", path, info.Mode(), err)
		}
	}
}

func TestTheFileOfAnotherIsNotRemoved(t *testing.T) {
	leaktest.Check(t)
	path := filepath.Join(t.TempDir(), "app.sock")
	s, other := new(Set), new(Set)
	taken(t, s, Spec{Name: "a", Address: "unix:" + path})
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	taken(t, other, Spec{Name: "a", Address: "unix:" + path})
	s.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Error(err)
	}
}

func TestOnlyAStaleSocketIsReplaced(t *testing.T) {
	leaktest.Check(t)
	path := filepath.Join(t.TempDir(), "app.sock")
	want := Spec{Name: "a", Address: "unix:" + path}
	s := new(Set)
	taken(t, s, want)
	if _, err := new(Set).Take([]Spec{want}); err == nil || !strings.Contains(err.Error(), "another process listens on it") {
		t.Errorf("where another listens: %v", err)
	}
	s.Leave()
	taken(t, new(Set), want)
	plain := filepath.Join(t.TempDir(), "plain")
	if err := os.WriteFile(plain, []byte("kept"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := new(Set).Take([]Spec{{Name: "a", Address: "unix:" + plain}}); err == nil || !strings.Contains(err.Error(), "isn't a socket") {
		t.Errorf("where a file is: %v", err)
	}
}

func TestWhatComesBackIsTheSame(t *testing.T) {
	leaktest.Check(t)
	path := filepath.Join(t.TempDir(), "a b.sock")
	want := []Spec{{Name: "http", Address: "127.0.0.1:0"}, {Name: "ctl", Address: "unix:" + path, Mode: 0o600}}
	before, after := new(Set), new(Set)
	files := taken(t, before, want...)
	address := where(t, files[0])
	other, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	rest := after.Adopt(append(files, other))
	if len(rest) != 1 || rest[0] != other {
		t.Errorf("not taken: %v", rest)
	}
	got := taken(t, after, want...)
	if where(t, got[0]) != address || got[1] != files[1] {
		t.Error("they were opened anew")
	}
	after.Close()
	if _, err := os.Lstat(path); !os.IsNotExist(err) {
		t.Errorf("it is left: %v", err)
	}
}
