package foster

// ShimPID is the pid of a tree's shim.
func ShimPID(t *Tree) int { return t.shimPID }
