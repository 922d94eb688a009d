package proc

// TTYName is the name of a terminal below /dev, as pts/0 or tty1, by the number that
// [Process.TTY] has; "" for 0. One whose driver isn't known, or on another system
// than Linux, is called by its major and minor number, as 4:64.
func TTYName(dev uint32) string {
	if dev == 0 {
		return ""
	}
	return ttyName(dev)
}
