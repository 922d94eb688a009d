package activate

import (
	"fmt"
	"net"
	"path/filepath"
	"strconv"
	"strings"
)

// address is where a socket listens.
type address struct {
	network string // "tcp", "udp" or "unix"
	where   string // host:port, or a path
}

// longestPath is how long the path of a unix socket may be (unix(7)).
const longestPath = 107

// Check says whether an address is one that can be listened on: host:port for TCP,
// udp:host:port, or unix:/path.
func Check(text string) error {
	_, err := parse(text)
	return err
}

func parse(text string) (address, error) {
	network, rest, _ := strings.Cut(text, ":")
	switch network {
	case "unix":
		return address{"unix", rest}, checkPath(text, rest)
	case "tcp", "udp":
		return address{network, rest}, checkPort(text, rest)
	}
	return address{"tcp", text}, checkPort(text, text)
}

func checkPath(text, path string) error {
	switch {
	case !filepath.IsAbs(path):
		return fmt.Errorf("%q: the path of a unix socket is absolute, as in unix:/run/app.sock", text)
	case len(path) > longestPath:
		return fmt.Errorf("%q: the path of a unix socket has at most %d bytes; this one has %d", text, longestPath, len(path))
	case strings.ContainsRune(path, 0):
		return fmt.Errorf("%q: holds a NUL byte", text)
	}
	return nil
}

func checkPort(text, where string) error {
	_, port, err := net.SplitHostPort(where)
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		return fmt.Errorf("%q isn't an address: expected host:port, udp:host:port or unix:/path", text)
	}
	return nil
}
