package importer

import "testing"

// What is here was held against systemd-analyze calendar.
func TestCalendarIsCronWhereCronHasAnEqual(t *testing.T) {
	for text, want := range map[string]string{
		"daily": "0 0 * * *", "weekly": "0 0 * * 1", "quarterly": "0 0 1 1,4,7,10 *", "Hourly": "0 * * * *",
		"Mon..Fri *-*-* 04:30:00": "30 4 * * mon-fri",
		"*:0/15":                  "*/15 * * * *",
		"*:5/20":                  "5/20 * * * *",
		"*-*-01 03:00":            "0 3 1 * *",
		"Sat,Sun 12:05":           "5 12 * * sat,sun",
		"*-1,7-15":                "0 0 15 1,7 *",
		"Tuesday":                 "0 0 * * tue",
		"Mon,Wed..Fri 00/2:05":    "5 */2 * * mon,wed-fri",
		"*-*-* *:*:0/10":          "*/10 * * * * *",
		"*-*-1..7 01:02":          "2 1 1-7 * *",
		"03:00 UTC":               "0 3 * * * in UTC",
		"daily Europe/Berlin":     "0 0 * * * in Europe/Berlin",
	} {
		got, zone, err := calendar(text)
		if zone != "" {
			got += " in " + zone
		}
		if err != nil || got != want {
			t.Errorf("%q: got %q, %v; want %q", text, got, err, want)
		}
	}
	for _, text := range []string{"", "Mon *-*-1..7", "2026-01-01", "*-*~01", "04:30 05:30", "*-02~01", "sometimes", "00:00:00.5", "1*:0", "25:00", "*-13-01"} {
		if got, zone, err := calendar(text); err == nil {
			t.Errorf("%q: got %q, %q; want an error", text, got, zone)
		}
	}
}
