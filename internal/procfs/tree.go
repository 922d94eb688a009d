package procfs

// Index finds descendants in a snapshot.
type Index struct {
	Snapshot []Stat
	children map[int][]int // of each PID, as places in the snapshot
}

// NewIndex makes the index of a snapshot.
func NewIndex(snapshot []Stat) *Index {
	x := &Index{snapshot, make(map[int][]int, len(snapshot))}
	for i, s := range snapshot {
		x.children[s.PPID] = append(x.children[s.PPID], i)
	}
	return x
}

// Below picks the descendants of root, parents before their children, root itself left
// out.
func (x *Index) Below(root int) (below []Stat) {
	// A process that changed its parent while the snapshot was taken may stand in a
	// circle: each parent has its turn once.
	seen := map[int]bool{root: true}
	queue := []int{root}
	for len(queue) > 0 {
		kids := x.children[queue[0]]
		queue = queue[1:]
		for _, i := range kids {
			if s := x.Snapshot[i]; !seen[s.PID] {
				seen[s.PID] = true
				below = append(below, s)
				queue = append(queue, s.PID)
			}
		}
	}
	return below
}

// Below is [Index.Below] for who asks once.
func Below(snapshot []Stat, root int) []Stat { return NewIndex(snapshot).Below(root) }
