package contain

// Limits are those of a tree's cgroup; 0 is none.
type Limits struct {
	Memory int64   // bytes
	CPU    float64 // cores
	PIDs   int64   // processes and threads
}
