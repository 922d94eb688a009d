package schedule

import (
	"strings"
	"testing"
	"time"
)

const layout = "2006-01-02 15:04:05 MST"

func at(t *testing.T, zone, text string) time.Time {
	t.Helper()
	loc, err := time.LoadLocation(zone)
	if err != nil {
		t.Fatal(err)
	}
	when, err := time.ParseInLocation(time.DateTime, text, loc)
	if err != nil {
		t.Fatal(err)
	}
	return when
}

func TestTheNextTimes(t *testing.T) {
	for _, c := range []struct {
		cron, zone, after string
		want              []string
	}{
		{"*/5 * * * *", "UTC", "2026-01-01 00:03:10", []string{"2026-01-01 00:05:00 UTC", "2026-01-01 00:10:00 UTC"}},
		{"5/20 * * * *", "UTC", "2026-01-01 00:03:10", []string{"2026-01-01 00:05:00 UTC", "2026-01-01 00:25:00 UTC", "2026-01-01 00:45:00 UTC", "2026-01-01 01:05:00 UTC"}},
		{"*/10 * * * * *", "UTC", "2026-01-01 00:00:10", []string{"2026-01-01 00:00:20 UTC", "2026-01-01 00:00:30 UTC"}},
		{"30 8 * * mon-fri", "UTC", "2026-01-02 12:00:00", []string{"2026-01-05 08:30:00 UTC", "2026-01-06 08:30:00 UTC"}},
		{"0 0 * * fri-sun", "UTC", "2026-01-01 12:00:00", []string{"2026-01-02 00:00:00 UTC", "2026-01-03 00:00:00 UTC", "2026-01-04 00:00:00 UTC", "2026-01-09 00:00:00 UTC"}},
		{"0 0 * * 7", "UTC", "2026-01-01 12:00:00", []string{"2026-01-04 00:00:00 UTC"}},
		{"0 0 31 * *", "UTC", "2026-01-31 01:00:00", []string{"2026-03-31 00:00:00 UTC", "2026-05-31 00:00:00 UTC"}},
		{"0 0 29 2 *", "UTC", "2096-03-01 00:00:00", []string{"2104-02-29 00:00:00 UTC"}},
		{"0 0 1 JAN,JUL ?", "UTC", "2026-01-01 00:00:00", []string{"2026-07-01 00:00:00 UTC", "2027-01-01 00:00:00 UTC"}},
		// Of a day of the month and a day of the week, either will do; with a star, both.
		{"0 0 13 * 5", "UTC", "2026-01-08 00:00:00", []string{"2026-01-09 00:00:00 UTC", "2026-01-13 00:00:00 UTC", "2026-01-16 00:00:00 UTC"}},
		{"0 0 */2 * 5", "UTC", "2026-01-01 00:00:00", []string{"2026-01-09 00:00:00 UTC", "2026-01-23 00:00:00 UTC"}},
		{"@daily", "UTC", "2026-01-01 00:00:00", []string{"2026-01-02 00:00:00 UTC"}},
		{"@hourly", "UTC", "2026-01-01 00:00:00", []string{"2026-01-01 01:00:00 UTC"}},
		{"@weekly", "UTC", "2026-01-01 00:00:00", []string{"2026-01-04 00:00:00 UTC"}},
		{"@monthly", "UTC", "2026-01-01 00:00:00", []string{"2026-02-01 00:00:00 UTC"}},
		{"@yearly", "UTC", "2026-01-01 00:00:00", []string{"2027-01-01 00:00:00 UTC"}},
		{"@every 1h30m", "UTC", "2026-01-01 00:00:07", []string{"2026-01-01 01:30:07 UTC", "2026-01-01 03:00:07 UTC"}},

		// 02:00 to 03:00 is left out: a set time is due when that is over, once.
		{"30 2 * * *", "Europe/Berlin", "2026-03-28 12:00:00", []string{"2026-03-29 03:00:00 CEST", "2026-03-30 02:30:00 CEST"}},
		{"10,20 2,3 * * *", "Europe/Berlin", "2026-03-29 00:00:00", []string{"2026-03-29 03:00:00 CEST", "2026-03-29 03:10:00 CEST", "2026-03-29 03:20:00 CEST", "2026-03-30 02:10:00 CEST"}},
		{"0 3 * * *", "Europe/Berlin", "2026-03-28 12:00:00", []string{"2026-03-29 03:00:00 CEST", "2026-03-30 03:00:00 CEST"}},
		{"*/30 * * * *", "Europe/Berlin", "2026-03-29 01:15:00", []string{"2026-03-29 01:30:00 CET", "2026-03-29 03:00:00 CEST", "2026-03-29 03:30:00 CEST"}},
		{"*/20 2 * * *", "Europe/Berlin", "2026-03-29 00:00:00", []string{"2026-03-30 02:00:00 CEST"}},
		// 02:00 to 03:00 comes twice: a set time is due the first time only.
		{"30 2 * * *", "Europe/Berlin", "2026-10-24 12:00:00", []string{"2026-10-25 02:30:00 CEST", "2026-10-26 02:30:00 CET"}},
		{"0 2,3 * * *", "Europe/Berlin", "2026-10-25 00:00:00", []string{"2026-10-25 02:00:00 CEST", "2026-10-25 03:00:00 CET"}},
		{"*/30 * * * *", "Europe/Berlin", "2026-10-25 01:45:00", []string{"2026-10-25 02:00:00 CEST", "2026-10-25 02:30:00 CEST", "2026-10-25 02:00:00 CET", "2026-10-25 02:30:00 CET", "2026-10-25 03:00:00 CET"}},
		{"@hourly", "Europe/Berlin", "2026-10-25 01:30:00", []string{"2026-10-25 02:00:00 CEST", "2026-10-25 02:00:00 CET", "2026-10-25 03:00:00 CET"}},
		// Midnight is left out.
		{"@daily", "America/Asuncion", "2023-09-30 12:00:00", []string{"2023-10-01 01:00:00 -03", "2023-10-02 00:00:00 -03"}},
		// Half an hour is.
		{"15 2 * * *", "Australia/Lord_Howe", "2026-10-03 12:00:00", []string{"2026-10-04 02:30:00 +11", "2026-10-05 02:15:00 +11"}},
		// A whole day is.
		{"0 12 30 12 *", "Pacific/Apia", "2011-12-29 13:00:00", []string{"2011-12-31 00:00:00 +14", "2012-12-30 12:00:00 +14"}},
	} {
		s, err := Parse(c.cron, c.zone)
		if err != nil {
			t.Errorf("%v", err)
			continue
		}
		next := at(t, c.zone, c.after)
		for _, want := range c.want {
			if next = s.Next(next); next.Format(layout) != want {
				t.Errorf("%s after %s: %s, want %s", c.cron, c.after, next.Format(layout), want)
				break
			}
		}
	}
}

// In the second of the hours that come twice, a set time isn't due again.
func TestASetTimeIsNotDueInTheSecondPass(t *testing.T) {
	s, err := Parse("45 2 * * *", "Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	second := time.Date(2026, 10, 25, 1, 30, 0, 0, time.UTC) // 02:30 CET
	if got := s.Next(second).Format(layout); got != "2026-10-26 02:45:00 CET" {
		t.Errorf("%s", got)
	}
}

func TestWhatIsNoScheduleIsAnErrorThatSaysWhatWasExpected(t *testing.T) {
	for _, c := range []struct{ cron, zone, want string }{
		{"", "", "it has 0 fields"},
		{"* * * *", "", "it has 4 fields"},
		{"* * * * * * *", "", "it has 7 fields"},
		{"61 * * * *", "", `minute: "61" isn't one of 0 to 59`},
		{"* 24 * * *", "", `hour: "24" isn't one of 0 to 23`},
		{"* * 0 * *", "", `day of the month: "0" isn't one of 1 to 31`},
		{"* * * mai *", "", `month: "mai" isn't one of 1 to 12, or jan to dec`},
		{"* * * * 8", "", `day of the week: "8" isn't one of 0 to 7, or sun to sat`},
		{"* * L * *", "", `day of the month: "L"`},
		{"30-10 * * * *", "", "goes backwards"},
		{"*/0 * * * *", "", `the step "0"`},
		{"*/x * * * *", "", `the step "x"`},
		{"1,,2 * * * *", "", `minute: ""`},
		{"-1 * * * *", "", `minute: ""`},
		{"0 0 30 2 *", "", "there is no such day"},
		{"@dayly", "", "@dayly isn't known"},
		{"@reboot", "", "leave the schedule out"},
		{"@every", "", "@every takes one duration"},
		{"@every 5", "", `"5" isn't a duration`},
		{"@every 10ms", "", "too short"},
		{"@every -1h", "", "too short"},
		{"@daily", "Europe/Bärlin", "expected a name of the time zone database"},
		{"@daily", "../etc/passwd", "expected a name of the time zone database"},
	} {
		s, err := Parse(c.cron, c.zone)
		if err == nil || s != nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q in %q: %v; want %q", c.cron, c.zone, err, c.want)
		}
	}
}

func FuzzEveryScheduleHasALaterTime(f *testing.F) {
	for _, cron := range []string{"*/5 * * * *", "@daily", "@every 3s", "1-5,7/2 0 0 29 feb ?", "0 2 * * 0"} {
		f.Add(cron, int64(1_792_900_000))
	}
	zones := []string{"UTC", "Europe/Berlin", "America/Asuncion", "Australia/Lord_Howe", "Pacific/Apia"}
	f.Fuzz(func(t *testing.T, cron string, unix int64) {
		unix %= 1 << 33
		zone := zones[uint64(unix)%uint64(len(zones))]
		s, err := Parse(cron, zone)
		if err != nil {
			return
		}
		after := time.Unix(unix, 0)
		next := s.Next(after)
		if !next.After(after) {
			t.Fatalf("%q in %s after %s: %s", cron, zone, after, next)
		}
		if before := s.Next(next.Add(-time.Nanosecond)); s.every == 0 && !before.Equal(next) {
			t.Fatalf("%q in %s: %s isn't the next of the moment before: %s", cron, zone, next, before)
		}
	})
}

func TestARangeOfOneDayIsThatDay(t *testing.T) {
	for _, cron := range []string{"0 3 * * 0-0", "0 3 * * sun-sun", "0 3 * * sun"} {
		s, err := Parse(cron, "UTC")
		if err != nil {
			t.Fatal(err)
		}
		thursday := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
		if got, want := s.Next(thursday), time.Date(2026, 1, 4, 3, 0, 0, 0, time.UTC); !got.Equal(want) {
			t.Errorf("%s: %s, want %s", cron, got, want)
		}
	}
}
