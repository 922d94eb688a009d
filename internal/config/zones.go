package config

import (
	"os"
	"path/filepath"
	"strings"
	"time"
)

// zoneFolders are where systems have the time zone database.
var zoneFolders = []string{"/usr/share/zoneinfo", "/usr/share/lib/zoneinfo", "/etc/zoneinfo"}

// nearZone is the time zone that another was meant to be; "" where none is near.
func nearZone(zone string) string {
	for _, folder := range zoneFolders {
		var found []string
		for part := range strings.SplitSeq(zone, "/") {
			entries, err := os.ReadDir(filepath.Join(folder, filepath.Join(found...)))
			if err != nil {
				break
			}
			var names []string
			for _, e := range entries {
				names = append(names, e.Name())
			}
			found = append(found, nearest(part, names))
		}
		near := strings.Join(found, "/")
		if _, err := time.LoadLocation(near); err == nil && near != "" {
			return near
		}
	}
	return ""
}
