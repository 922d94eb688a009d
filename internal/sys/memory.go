package sys

import (
	"math"
	"runtime"
	"runtime/debug"
	"sync/atomic"
)

// burstPercent is how far memory may grow in a burst of work before it is collected.
const burstPercent = 400

// usualPercent is what it was set to before the burst (GOGC); notSet: there is none.
var usualPercent atomic.Int64

const notSet = math.MinInt64

func init() { usualPercent.Store(notSet) }

// SpareCollections has this process collect its memory less often during a burst of work,
// until GiveBackMemory.
func SpareCollections() {
	usualPercent.CompareAndSwap(notSet, int64(debug.SetGCPercent(burstPercent)))
}

// GiveBackMemory gives back to the system what a burst of work has taken. It is for a
// process that is idle from then on, with many goroutines that wait: a stack becomes
// half as large with each collection.
func GiveBackMemory() {
	if usual := usualPercent.Swap(notSet); usual != notSet {
		debug.SetGCPercent(int(usual))
	}
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
}
