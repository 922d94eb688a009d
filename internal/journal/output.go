package journal

import (
	"errors"
	"os"
	"path/filepath"

	"github.com/foster-init/foster/internal/sys"
)

// outputSuffix has what a kept output is named by: descriptors 1 and 2 of the program.
var outputSuffix = map[int]string{1: ".stdout", 2: ".stderr"}

// CreateOutput makes the file for the output of a tree that nobody has read when the
// tree ended. It is removed with the tree's entry.
func CreateOutput(folder, id string, stream int) (*os.File, error) {
	return os.OpenFile(outputPath(folder, id, stream), os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
}

// SaveOutput writes what the reading end of a pipe holds to that file.
func SaveOutput(folder, id string, stream int, pipe *os.File) error {
	file, err := CreateOutput(folder, id, stream)
	if err != nil {
		return err
	}
	err = sys.Drain(pipe, func(p []byte) error { _, err := file.Write(p); return err })
	return errors.Join(err, file.Close())
}

// OpenOutput opens that file; nil where there is none.
func OpenOutput(folder, id string, stream int) (*os.File, error) {
	f, err := os.Open(outputPath(folder, id, stream))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return f, err
}

func outputPath(folder, id string, stream int) string {
	return filepath.Join(folder, id+outputSuffix[stream])
}

func removeOutputs(folder, id string) {
	for stream := range outputSuffix {
		_ = os.Remove(outputPath(folder, id, stream)) // most have none
	}
}

// Path is where the entry of a tree is.
func Path(folder, id string) string { return treePath(folder, id) }
