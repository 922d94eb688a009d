package foster

import (
	"slices"

	"github.com/foster-init/foster/internal/journal"
)

// Outputs that the shim holds, too.

func (o *owner) keeps(out *output) bool { return slices.Contains(o.kept, out) }

// drop lets the program know that nobody reads an output any more. It's the owner's
// goroutine that sends.
func (o *owner) drop(out *output) {
	_ = o.tree.ask(request{kind: askDrop, stream: out.stream}) // it has ended: as well
}

// saveOutput keeps what nobody has read beyond the end of the tree. Where somebody
// reads, the rest is theirs.
func (o *owner) saveOutput(read bool) {
	if o.registered == nil || !o.registered.keep || read || o.exit.Released {
		return
	}
	for _, out := range o.kept {
		if out.to != nil {
			continue // it is read here
		}
		err := journal.SaveOutput(o.registered.folder, o.registered.id, int(out.stream), out.r)
		if err != nil {
			o.failed = append(o.failed, err)
		}
	}
}

// closeKept closes what was only kept.
func (o *owner) closeKept() {
	for _, out := range o.kept {
		if out.to == nil {
			out.r.Close()
		}
	}
}
