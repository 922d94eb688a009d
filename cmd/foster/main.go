// The foster command. Each command is in a file of its own.
package main

import (
	"context"
	"os"

	"github.com/foster-init/foster/internal/pid1"
)

func main() {
	if dialect, ok := pid1.CalledAs(os.Args[0]); ok {
		os.Exit(pid1.Main(dialect, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}
