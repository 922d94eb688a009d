package importer

import (
	"os"
	"path/filepath"
)

// Recognize says which other program a file is for that was given to foster up, where that
// is beyond doubt; and what Import would say against it.
func Recognize(path string) (Format, error) {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() || info.Size() > mostRecognized {
		return "", nil
	}
	data, err := os.ReadFile(path)
	if err != nil || ours().Match(data) {
		return "", nil
	}
	name := filepath.Base(path)
	for _, by := range byName {
		if by.format != Procfile && by.name().MatchString(name) {
			return by.format, nil
		}
	}
	for _, by := range byContent {
		if by.format != PM2 && by.line().Match(data) { // foster's own may be JSON, too
			return by.format, nil
		}
	}
	if containers().Match(data) {
		return "", &Error{File: path, Text: "it describes containers, as docker compose does: foster runs commands, not images"}
	}
	return "", nil
}

const mostRecognized = 1 << 20

var ours = pattern(`(?m)^apps:`)
