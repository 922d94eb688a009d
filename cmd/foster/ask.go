package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/foster-init/foster/internal/sys"
)

var errNotAgreed = errors.New("not agreed to: nothing was ended")

// agree asks before something is ended that foster didn't start. In a script there
// is nobody to ask, and the agreement is --yes.
func agree(stdin *os.File, stderr io.Writer, yes bool, question string) error {
	if yes {
		return nil
	}
	if !sys.IsTerminal(stdin) {
		return usageError{hinted{
			errors.New("nobody can be asked: standard input is not a terminal"), "--yes agrees beforehand",
		}}
	}
	fmt.Fprintf(stderr, "foster: %s [y/N] ", question)
	line, err := bufio.NewReader(stdin).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(line)) {
	case "y", "yes":
		return nil
	}
	return refusalError{errNotAgreed}
}
