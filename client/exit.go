package client

import (
	"encoding/json"
	"time"
)

// MarshalJSON tells a count of 0 where it was counted, and leaves out what nobody has counted.
func (e Exit) MarshalJSON() ([]byte, error) {
	type exit Exit // without this method
	if !e.Counted {
		return json.Marshal(exit(e))
	}
	return json.Marshal(struct {
		exit
		User    time.Duration `json:"user"`
		System  time.Duration `json:"system"`
		MaxRSS  int64         `json:"max_rss"`
		Adopted int           `json:"adopted"`
		Reaped  int           `json:"reaped"`
		Killed  int           `json:"killed"`
	}{exit(e), e.User, e.System, e.MaxRSS, e.Adopted, e.Reaped, e.Killed})
}
