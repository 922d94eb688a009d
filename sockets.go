package foster

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// listenVariables are those by which sockets are handed over (sd_listen_fds(3)).
var listenVariables = []string{"LISTEN_PID=", "LISTEN_FDS=", "LISTEN_FDNAMES="}

// listenEnv adds to an environment what tells the program of its listening sockets. The
// number of the process that they are for, LISTEN_PID, is that of the leader, who adds it
// himself when there is one.
func (c *Cmd) listenEnv(env []string) []string {
	if len(c.ListenNames) == 0 {
		return env
	}
	env = slices.DeleteFunc(slices.Clone(env), func(pair string) bool {
		return slices.ContainsFunc(listenVariables, func(v string) bool { return strings.HasPrefix(pair, v) })
	})
	return append(env, "LISTEN_FDS="+strconv.Itoa(len(c.ListenNames)), "LISTEN_FDNAMES="+strings.Join(c.ListenNames, ":"))
}

// validSockets checks ListenNames.
func (c *Cmd) validSockets() error {
	if n := len(c.ListenNames); n > len(c.ExtraFiles) || slices.Contains(c.ExtraFiles[:n], nil) {
		return fmt.Errorf("the names in ListenNames are those of the first of ExtraFiles: got %d names, and too few files", n)
	}
	for _, name := range c.ListenNames {
		if err := ValidListenName(name); err != nil {
			return err
		}
	}
	return nil
}

// ValidListenName checks the name of a socket that is handed over: 1 to 255 printable
// characters of ASCII, but no colon (sd_listen_fds_with_names(3)).
func ValidListenName(name string) error {
	odd := strings.IndexFunc(name, func(r rune) bool { return r <= ' ' || r >= 127 || r == ':' })
	if name == "" || len(name) > 255 || odd >= 0 {
		return fmt.Errorf("the name of a socket has 1 to 255 letters, digits or signs, and no colon: got %q", name)
	}
	return nil
}
