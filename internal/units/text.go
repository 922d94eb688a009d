package units

import "strings"

// ErrorText is the text of an error, without the "foster: " that errors of the library begin
// with: who tells it on says that once, in front.
func ErrorText(err error) string {
	return strings.ReplaceAll(strings.TrimPrefix(err.Error(), "foster: "), ": foster: ", ": ")
}
