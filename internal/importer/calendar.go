package importer

import (
	"fmt"
	"slices"
	"strings"

	"github.com/foster-init/foster/internal/schedule"
)

// calendars are the words of systemd.time(7).
var calendars = map[string]string{
	"minutely": "* * * * *", "hourly": "0 * * * *", "daily": "0 0 * * *", "monthly": "0 0 1 * *", "weekly": "0 0 * * 1",
	"yearly": "0 0 1 1 *", "annually": "0 0 1 1 *", "quarterly": "0 0 1 1,4,7,10 *", "semiannually": "0 0 1 1,7 *",
}

var (
	timeOfDay = pattern(`^([0-9*,./]+):([0-9*,./]+)(?::([0-9*,./]+))?$`)
	dateWord  = pattern(`^(?:([0-9*,./]+)-)?([0-9*,./]+)-([0-9*,./~]+)$`)
	weekWord  = pattern(`(?i)^(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*(?:(?:\.\.|,)(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*)*,?$`)
	zoneWord  = pattern(`^([A-Za-z]+/[A-Za-z_/+-]+|UTC)$`)
)

// calendar makes a cron expression of what OnCalendar= has.
func calendar(text string) (cron, zone string, err error) {
	words := strings.Fields(text)
	if n := len(words); n > 1 && zoneWord().MatchString(words[n-1]) {
		zone, words = words[n-1], words[:n-1]
	}
	if len(words) == 1 {
		if cron, ok := calendars[strings.ToLower(words[0])]; ok {
			return cron, zone, nil
		}
	}
	c := calendarFields{second: "0", minute: "0", hour: "0", day: "*", month: "*", weekday: "*"}
	for _, w := range words {
		if err := c.word(w); err != nil {
			return "", "", err
		}
	}
	if c.seen == [3]bool{} {
		return "", "", fmt.Errorf("%q says nothing", text)
	}
	if c.day != "*" && c.weekday != "*" {
		return "", "", fmt.Errorf("a day of the month and a day of the week at once: cron takes either")
	}
	fields := []string{c.minute, c.hour, c.day, c.month, c.weekday}
	if c.second != "0" {
		fields = slices.Insert(fields, 0, c.second)
	}
	cron = strings.Join(fields, " ")
	if _, err := schedule.Parse(cron, zone); err != nil { // each of its words looked right
		return "", "", fmt.Errorf("%q: %w", text, err)
	}
	return cron, zone, nil
}

type calendarFields struct {
	second, minute, hour, day, month, weekday string
	seen                                      [3]bool // weekday, date, time
}

func (c *calendarFields) word(w string) error {
	once := func(i int) error {
		if c.seen[i] {
			return fmt.Errorf("%q: there was one already", w)
		}
		c.seen[i] = true
		return nil
	}
	if m := timeOfDay().FindStringSubmatch(w); m != nil {
		c.hour, c.minute = cronField(m[1]), cronField(m[2])
		if m[3] != "" {
			c.second = cronField(m[3])
		}
		if strings.Contains(m[3], ".") && !strings.Contains(m[3], "..") {
			return fmt.Errorf("%q: a part of a second", w)
		}
		return once(2)
	}
	if m := dateWord().FindStringSubmatch(w); m != nil {
		if m[1] != "" && m[1] != "*" {
			return fmt.Errorf("%q: cron has no years", w)
		}
		if strings.Contains(w, "~") {
			return fmt.Errorf("%q: cron doesn't count from the end of a month", w)
		}
		c.month, c.day = cronField(m[2]), cronField(m[3])
		return once(1)
	}
	if weekWord().MatchString(w) {
		c.weekday = weekdays(strings.TrimSuffix(w, ","))
		return once(0)
	}
	return fmt.Errorf("%q isn't understood", w)
}

// cronField writes one field as cron does: 1..5 is 1-5, 05 is 5.
func cronField(text string) string {
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		span, step, stepped := strings.Cut(part, "/")
		ends := strings.Split(span, "..")
		for i := range ends {
			if ends[i] != "*" {
				if ends[i] = strings.TrimLeft(ends[i], "0"); ends[i] == "" {
					ends[i] = "0"
				}
			}
		}
		span = strings.Join(ends, "-")
		if stepped {
			if span == "0" {
				span = "*"
			}
			span += "/" + step
		}
		parts = append(parts, span)
	}
	return strings.Join(parts, ",")
}

// weekdays writes days of the week as cron does: Mon..Fri is mon-fri.
func weekdays(text string) string {
	var parts []string
	for part := range strings.SplitSeq(text, ",") {
		ends := strings.Split(part, "..")
		for i := range ends {
			ends[i] = strings.ToLower(ends[i])
			ends[i] = ends[i][:min(3, len(ends[i]))]
		}
		parts = append(parts, strings.Join(ends, "-"))
	}
	return strings.Join(parts, ",")
}
