package client

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/foster-init/foster/internal/journal"
	"github.com/foster-init/foster/internal/sys"
)

// SharedFolder has the sockets of root's projects that let a group in. It is no folder
// of a user's own, since others have to reach it.
const SharedFolder = "/run/foster-shared"

// SocketPath is the control socket of a project of this user.
func SocketPath(project string) (string, error) {
	if err := journal.ValidID(project); err != nil {
		return "", fmt.Errorf("the name of a project: %w", err)
	}
	_, runtime, err := journal.Folders()
	if err != nil {
		return "", err
	}
	return filepath.Join(runtime, "projects", project+".sock"), nil
}

// Client asks one supervisor. Its methods may be called from any goroutine.
type Client struct {
	path   string
	any    bool         // of which user the supervisor is doesn't matter: the path was given
	pid    atomic.Int64 // of the supervisor, as far as it is known
	http   http.Client
	closed context.Context
	close  context.CancelFunc
}

// Dial finds the supervisor of a project: that of this user, else root's, where it lets
// this user in. The error wraps ErrNotRunning where there is none, and is a *NoAnswerError
// where it doesn't answer.
func Dial(project string) (*Client, error) {
	path, err := SocketPath(project)
	if err != nil {
		return nil, err
	}
	c, err := dial(path, false)
	if !errors.Is(err, ErrNotRunning) {
		return c, err
	}
	shared := filepath.Join(SharedFolder, project+".sock")
	if c, serr := dial(shared, false); !errors.Is(serr, ErrNotRunning) {
		return c, serr
	}
	return nil, fmt.Errorf("project %s: %w", project, ErrNotRunning)
}

// DialSocket is Dial for a socket whose path is known. It may be another user's.
func DialSocket(path string) (*Client, error) { return dial(path, true) }

func dial(path string, anyUser bool) (*Client, error) {
	c := &Client{path: path, any: anyUser}
	c.closed, c.close = context.WithCancel(context.Background())
	// Each request has a connection of its own: one that is kept may be gone when it
	// is needed, and a request that changes something must not be sent twice.
	c.http.Transport = &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return c.connect(ctx) },
		DisableKeepAlives:  true,
		DisableCompression: true,
	}
	conn, err := c.connect(c.closed)
	if err != nil {
		return nil, err
	}
	return c, conn.Close()
}

// connect connects to the supervisor, which must be this user's or root's, and answer.
func (c *Client) connect(ctx context.Context) (net.Conn, error) {
	sock, err := sys.Connect(c.path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("nobody listens at %s: %w", c.path, ErrNotRunning)
	case errors.Is(err, os.ErrDeadlineExceeded): // so many wait already
		return nil, noAnswer(err, c.holder())
	case err != nil:
		return nil, fmt.Errorf("connect to %s: %w", c.path, err)
	}
	defer sock.Close()
	pid, uid, err := sys.PeerOf(sock)
	if err != nil {
		return nil, err
	}
	if !c.any && uid != os.Getuid() && uid != 0 {
		return nil, fmt.Errorf("%s: the other side is of user %d", c.path, uid)
	}
	c.pid.Store(int64(pid))
	conn, err := net.FileConn(sock)
	if err != nil {
		return nil, err
	}
	if err := ping(ctx, conn, pid); err != nil {
		conn.Close()
		return nil, err
	}
	return conn, nil
}

// holder is the process that has the lock beside the socket, as that says; 0: it doesn't.
func (c *Client) holder() int {
	text, err := os.ReadFile(c.path + ".lock")
	if err != nil {
		return 0
	}
	pid, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return pid
}

// Close ends what is under way.
func (c *Client) Close() error {
	c.close()
	return nil
}
