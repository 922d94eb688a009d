//go:build darwin || freebsd

package sys

import (
	"io"
	"os"
)

// WriteNow writes a text.
func WriteNow(f *os.File, text string) error {
	_, err := io.WriteString(f, text)
	return err
}
