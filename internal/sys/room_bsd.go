//go:build darwin || freebsd

package sys

// threadLimit: there, the limit is of processes alone, and a thread is never refused by it.
func threadLimit() (n int, limited bool) { return 0, false }

func allThreads() int { return 0 }

func userThreads(int) int { return 0 }
