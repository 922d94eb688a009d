package sys

import (
	"os"
	"syscall"
	"unsafe"
)

// WriteNow writes a text in one call that Go's scheduler doesn't see, so that it starts
// no thread meanwhile.
func WriteNow(f *os.File, text string) error {
	b := []byte(text)
	if len(b) == 0 {
		return nil
	}
	fd := Descriptor(f)
	for {
		_, _, n := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(&b[0])), uintptr(len(b)))
		switch n {
		case 0:
			return nil
		case syscall.EINTR:
		default:
			return n
		}
	}
}
