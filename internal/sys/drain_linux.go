package sys

import "golang.org/x/sys/unix"

// fionread asks how much can be read.
const fionread = unix.TIOCINQ
