package client

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestOnlyWhatWasCountedIsToldAsZero(t *testing.T) {
	for _, c := range []struct {
		exit    Exit
		there   []string
		missing []string
	}{
		{Exit{Cause: "ended", Counted: true, Reaped: 1}, []string{`"adopted":0`, `"user":0`, `"reaped":1`, `"killed":0`, `"max_rss":0`}, nil},
		{Exit{Cause: "shim-lost", Killed: 2}, []string{`"killed":2`}, []string{"adopted", "reaped", "user", "system", "max_rss", "counted"}},
	} {
		text, err := json.Marshal(&c.exit)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range c.there {
			if !strings.Contains(string(text), want) {
				t.Errorf("%s\nwant %s", text, want)
			}
		}
		for _, key := range c.missing {
			if strings.Contains(string(text), `"`+key+`"`) {
				t.Errorf("%s\nnobody has counted %s", text, key)
			}
		}
		var back Exit
		if err := json.Unmarshal(text, &back); err != nil || back != c.exit {
			t.Errorf("%+v, %v", back, err)
		}
	}
}
