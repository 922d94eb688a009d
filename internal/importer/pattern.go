package importer

import (
	"regexp"
	"sync"
)

// pattern is a regular expression that is compiled when it is first asked for: this
// package is part of a program that also is each application's shim, which must come up
// at once.
func pattern(text string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(text) })
}
