package foster

import (
	"fmt"
	"os"
	"slices"
)

// mostKept bounds Cmd.Keep, and with it what one message of the shim carries.
const mostKept = 64

func (c *Cmd) validKeep() error {
	if len(c.Keep) > mostKept || slices.Contains(c.Keep, nil) {
		return fmt.Errorf("what Keep keeps are up to %d open files: got %d, or one that is nil", mostKept, len(c.Keep))
	}
	return nil
}

// Kept gives the files that the owner before had put into Cmd.Keep, under the names that
// they had, where WithKept asked for them; nil otherwise. They are the caller's, who
// closes them: a second call gives nil. The shim holds its own until the tree has ended
// and its end was told.
func (t *Tree) Kept() []*os.File {
	if files := t.kept.Swap(nil); files != nil {
		return *files
	}
	return nil
}
