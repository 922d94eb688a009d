package control

import (
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/foster-init/foster/internal/wire"
)

// TestOnlyAShimOfThisVersionIsSpokenWith: else a message could be misunderstood.
func TestOnlyAShimOfThisVersionIsSpokenWith(t *testing.T) {
	for name, c := range map[string]struct {
		first wire.Message
		is    error
		says  string
	}{
		"this version":    {&wire.Hello{Version: wire.Version}, nil, ""},
		"a newer version": {&wire.Hello{Version: wire.Version + 1}, wire.ErrProtocol, spoken(1) + ": use the program that started the tree"},
		"an older one":    {&wire.Hello{Version: wire.Version - 1}, wire.ErrProtocol, spoken(-1)},
		"one not ready":   {&wire.Hello{Version: wire.Version, Step: "mount /proc", Errno: syscall.EPERM}, syscall.EPERM, "mount /proc: "},
		"another message": {&wire.Status{}, wire.ErrProtocol, "it begins with a *wire.Status"},
	} {
		path := filepath.Join(t.TempDir(), "sock")
		l, err := net.Listen("unix", path)
		if err != nil {
			t.Fatal(err)
		}
		frame, err := wire.Encode(c.first)
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if conn, err := l.Accept(); err == nil { // else it is told below
				_, _ = conn.Write(frame)
				conn.Close()
			}
		}()
		client, err := Dial(&wire.Entry{SocketPath: path})
		if !errors.Is(err, c.is) || err != nil && !(strings.HasPrefix(err.Error(), path+": ") && strings.Contains(err.Error(), c.says)) {
			t.Errorf("%s: %v; want %q", name, err, c.says)
		}
		if client != nil {
			client.Close()
		}
		l.Close()
	}
}

// spoken is what is said of a version that is newer by so much.
func spoken(newer int) string {
	return fmt.Sprintf("it speaks version %d, this program %d", wire.Version+newer, wire.Version)
}
