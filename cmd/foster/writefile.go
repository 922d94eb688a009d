package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
)

// writeFile writes a file that was named on the command line. Each command that takes the
// name of a file to write uses it, so that all of them treat what is there in the same way:
//
//   - a regular file is written over only with force. It stays the same file: its mode,
//     owner and links are kept, and its old content, too, if the disk is full;
//   - a symbolic link is followed, and stays;
//   - a terminal or another character device, and a pipe, are written to: nothing that they
//     hold is lost;
//   - a folder, a socket, and a disk are refused.
func writeFile(path string, text []byte, force bool) (err error) {
	flag := os.O_WRONLY
	info, err := os.Stat(path)
	switch {
	case err == nil:
		if err := mayWrite(path, info, force); err != nil {
			return err
		}
	case errors.Is(err, fs.ErrNotExist):
		flag |= os.O_CREATE
		if !force {
			flag |= os.O_EXCL // not through a link that leads nowhere, nor over a file made meanwhile
		}
	default:
		return usageError{err}
	}
	f, err := os.OpenFile(path, flag, 0o666)
	if errors.Is(err, fs.ErrExist) {
		return alreadyThere(path)
	}
	if err != nil {
		return usageError{err}
	}
	made := info == nil
	defer func() {
		err = errors.Join(err, f.Close())
		if err != nil && flag&os.O_EXCL != 0 {
			_ = os.Remove(path) // it was made here; a half of it helps nobody
		}
	}()
	if info, err = f.Stat(); err != nil {
		return err
	}
	if !made {
		if err := mayWrite(path, info, force); err != nil { // it may be another by now
			return err
		}
	}
	if !info.Mode().IsRegular() {
		_, err := f.Write(text)
		return err
	}
	return overwrite(f, path, text)
}

// mayWrite says why what is at a path isn't written to.
func mayWrite(path string, info fs.FileInfo, force bool) error {
	switch mode := info.Mode(); {
	case mode.IsDir():
		return usageError{fmt.Errorf("%s is a folder", path)}
	case mode.IsRegular() && !force:
		return alreadyThere(path)
	case mode.IsRegular(), mode&fs.ModeNamedPipe != 0, mode&fs.ModeCharDevice != 0:
		return nil
	case mode&fs.ModeDevice != 0:
		return usageError{fmt.Errorf("%s is a disk: nothing was written", path)}
	case mode&fs.ModeSocket != 0:
		return usageError{fmt.Errorf("%s is a socket: it can't be written to as a file", path)}
	}
	return usageError{fmt.Errorf("%s is neither a file, nor a pipe, nor a character device", path)}
}

func alreadyThere(path string) error {
	return usageError{hinted{fmt.Errorf("%s is there already", path), "--force writes over it"}}
}

// overwrite gives an open file another content. If that fails, it has the old one again:
// nothing is cut off before all is written, so the disk has the room for it.
func overwrite(f *os.File, path string, text []byte) error {
	old, readable := os.ReadFile(path)
	if _, err := f.WriteAt(text, 0); err != nil {
		if readable == nil {
			_, _ = f.WriteAt(old, 0) // the first error is reported
			_ = f.Truncate(int64(len(old)))
		}
		return err
	}
	return f.Truncate(int64(len(text)))
}
