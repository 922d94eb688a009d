package procfs

// Below picks the descendants of root out of a snapshot, parents before their
// children, root itself left out.
func Below(snapshot []Stat, root int) []Stat {
	children := make(map[int][]int, len(snapshot))
	for i, s := range snapshot {
		children[s.PPID] = append(children[s.PPID], i)
	}
	var below []Stat
	// A process that changed its parent while the snapshot was taken may stand
	// in a circle: each parent is taken from the map once.
	queue := []int{root}
	for len(queue) > 0 {
		kids := children[queue[0]]
		delete(children, queue[0])
		queue = queue[1:]
		for _, i := range kids {
			if snapshot[i].PID == root {
				continue
			}
			below = append(below, snapshot[i])
			queue = append(queue, snapshot[i].PID)
		}
	}
	return below
}
