//go:build darwin || freebsd

package sys

// fionread asks how much can be read (FIONREAD): x/sys/unix has no name for it here.
const fionread = 0x4004667f
