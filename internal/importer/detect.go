package importer

import (
	"path/filepath"
	"regexp"
	"strings"
)

// unitSuffixes are those of the units of systemd that are read.
var unitSuffixes = map[string]bool{".service": true, ".socket": true, ".timer": true}

func isUnit(path string) bool { return unitSuffixes[filepath.Ext(path)] }

// DefaultNames are the names of files that are looked for where none is given.
var DefaultNames = []string{
	"supervisord.conf", "process-compose.yaml", "process-compose.yml", "ecosystem.config.json", "Procfile",
}

// byName are formats that the name of a file tells.
var byName = []struct {
	name   func() *regexp.Regexp
	format Format
}{
	{pattern(`\.(service|socket|timer)$`), Systemd},
	{pattern(`^Procfile`), Procfile},
	{pattern(`^process-compose.*\.ya?ml$`), ProcessCompose},
	{pattern(`^supervisor.*\.(conf|ini)$`), Supervisord},
	{pattern(`^(ecosystem|pm2).*\.json$`), PM2},
}

// byContent are formats that a line of a file tells.
var byContent = []struct {
	line   func() *regexp.Regexp
	format Format
}{
	{pattern(`(?m)^\[(program:.*|supervisord|group:.*|eventlistener:.*|fcgi-program:.*|include)\]`), Supervisord},
	{pattern(`(?m)^\[(Unit|Service|Socket|Timer)\]`), Systemd},
	{pattern(`(?m)^processes:`), ProcessCompose},
	{pattern(`\A\s*(\{\s*"apps"|\[\s*\{)`), PM2},
}

var (
	script      = pattern(`\.(js|cjs|mjs|ts)$`)
	containers  = pattern(`(?m)^services:`)
	procfileRow = pattern(`\A(\s*(#.*)?\n)*[A-Za-z0-9_.-]+:\s*\S`)
)

// detect tells the format of a file.
func detect(in input) (Format, error) {
	name := filepath.Base(in.path)
	if script().MatchString(name) {
		return "", &Error{File: in.path, Text: "it is a program in JavaScript, which foster can't run", Hint: "have pm2 or node write it as JSON: node -p 'JSON.stringify(require(\"./" + name + "\"))' > ecosystem.config.json"}
	}
	for _, by := range byName {
		if by.name().MatchString(name) {
			return by.format, nil
		}
	}
	text := in.text()
	for _, by := range byContent {
		if by.line().MatchString(text) {
			return by.format, nil
		}
	}
	switch {
	case containers().MatchString(text):
		return "", &Error{File: in.path, Text: "it describes containers, as docker compose does: foster runs commands, not images"}
	case procfileRow().MatchString(text) && !strings.HasSuffix(name, "ml"):
		return "", &Error{File: in.path, Text: "it isn't called Procfile: that it is one can't be told by its lines alone", Hint: "if it is one: --from procfile"}
	}
	return "", &Error{File: in.path, Text: "it isn't told by name or content what it is for", Hint: "say it with --from: " + formatNames()}
}
