package proc

import (
	"fmt"
	"os"
	"sync"

	"github.com/foster-init/foster/internal/procfs"
)

// drivers are read once: they come with the kernel and its modules.
var drivers = sync.OnceValue(func() []procfs.TTYDriver {
	b, err := os.ReadFile("/proc/tty/drivers")
	if err != nil {
		return nil
	}
	return procfs.ParseTTYDrivers(b)
})

func ttyName(dev uint32) string {
	// As the kernel packs them for user space (new_encode_dev of kdev_t.h).
	major, minor := dev>>8&0xfff, dev&0xff|dev>>12&0xfff00
	if major >= 136 && major <= 143 { // the pseudoterminals have eight
		return fmt.Sprintf("pts/%d", (major-136)<<8|minor)
	}
	for _, d := range drivers() {
		if d.Major == major && minor >= d.First && minor <= d.Last {
			return d.Name(minor)
		}
	}
	return fmt.Sprintf("%d:%d", major, minor)
}
