// The init of foster alone, without the other commands: a small binary for
// containers. Called tini or dumb-init, it takes the command line of that program.
package main

import (
	"os"

	"github.com/foster-init/foster/internal/pid1"
)

func main() {
	dialect, _ := pid1.CalledAs(os.Args[0])
	os.Exit(pid1.Main(dialect, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
