package main

import (
	"fmt"
	"runtime"
	"runtime/debug"
)

// release is the version of a build without the Go tool's record of it:
// -ldflags "-X main.release=v1.2.3".
var release string

// version tells what was built, from what the Go tool has recorded.
func version() string {
	v, revision := "(devel)", ""
	if release != "" {
		v = release
	} else if info, ok := debug.ReadBuildInfo(); ok {
		if info.Main.Version != "" {
			v = info.Main.Version
		}
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 && v == "(devel)" {
				revision = " " + s.Value[:12]
			}
		}
	}
	return fmt.Sprintf("foster %s%s %s %s/%s", v, revision, runtime.Version(), runtime.GOOS, runtime.GOARCH)
}
