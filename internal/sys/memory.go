package sys

import (
	"runtime"
	"runtime/debug"
)

// GiveBackMemory gives back to the system what a burst of work has taken. It is for a
// process that is idle from then on, with many goroutines that wait: a stack becomes
// half as large with each collection.
func GiveBackMemory() {
	for range 3 {
		runtime.GC()
	}
	debug.FreeOSMemory()
}
