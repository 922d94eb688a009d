package sys

import (
	"context"
	"os/exec"
	"time"
)

// OutputOf is what a small program of the system writes, within 10 s; nil where it fails.
// Where this process is an init, another of its waiters may take the status: the output is
// what counts.
func OutputOf(path string, args ...string) []byte {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	out, _ := exec.CommandContext(ctx, path, args...).Output()
	return out
}
