package schedule

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// field is a set of numbers up to 63.
type field struct {
	set  uint64
	star bool // it begins with *: all, or each so many
}

func (f field) has(n int) bool { return f.set&(1<<n) != 0 }

// kind is what may stand in a field.
type kind struct {
	name       string
	first, end int
	names      []string // of the numbers, from first
}

var (
	seconds  = kind{"second", 0, 59, nil}
	minutes  = kind{"minute", 0, 59, nil}
	hours    = kind{"hour", 0, 23, nil}
	days     = kind{"day of the month", 1, 31, nil}
	months   = kind{"month", 1, 12, strings.Fields("jan feb mar apr may jun jul aug sep oct nov dec")}
	weekdays = kind{"day of the week", 0, 7, strings.Fields("sun mon tue wed thu fri sat sun")}
)

// shorthands stand for five fields.
var shorthands = map[string]string{
	"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
	"@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
}

// shortest is the least time between two runs of @every.
const shortest = time.Second

func (s *Schedule) parse(cron string) error {
	words := strings.Fields(cron)
	if len(words) > 0 && words[0] == "@every" {
		return s.parseEvery(words[1:])
	}
	if len(words) == 1 && words[0][0] == '@' {
		fields, ok := shorthands[words[0]]
		if !ok {
			return fmt.Errorf("%s isn't known (expected @yearly, @monthly, @weekly, @daily, @hourly, or @every 10m)%s", words[0], hintOfReboot(words[0]))
		}
		words = strings.Fields(fields)
	}
	switch len(words) {
	case 5:
		words = append([]string{"0"}, words...)
	case 6:
	default:
		return fmt.Errorf("it has %d fields (expected five: minute, hour, day of the month, month, day of the week; or six, with the second before them)", len(words))
	}
	if err := s.parseFields(words); err != nil {
		return err
	}
	s.recurs = s.second.star || s.minute.star || s.hour.star
	if s.nextCivil(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return errors.New("there is no such day")
	}
	return nil
}

func hintOfReboot(word string) string {
	if word == "@reboot" {
		return "; to run once with foster up, leave the schedule out"
	}
	return ""
}

func (s *Schedule) parseEvery(words []string) error {
	if len(words) != 1 {
		return errors.New("@every takes one duration (expected @every 90s, or @every 1h30m)")
	}
	every, err := time.ParseDuration(words[0])
	switch {
	case err != nil:
		return fmt.Errorf("%q isn't a duration (expected @every 90s, or @every 1h30m)", words[0])
	case every < shortest:
		return fmt.Errorf("%s is too short (expected %s or more)", words[0], shortest)
	}
	s.every = every
	return nil
}

func (s *Schedule) parseFields(words []string) error {
	for n, f := range []struct {
		to   *field
		kind kind
	}{
		{&s.second, seconds}, {&s.minute, minutes}, {&s.hour, hours},
		{&s.day, days}, {&s.month, months}, {&s.weekday, weekdays},
	} {
		var err error
		if *f.to, err = f.kind.parse(words[n]); err != nil {
			return fmt.Errorf("%s: %w", f.kind.name, err)
		}
	}
	if s.weekday.has(7) {
		s.weekday.set |= 1 // Sunday
	}
	return nil
}

// parse reads a field: a list of *, numbers and ranges, each with a step where it has one.
func (k kind) parse(word string) (f field, err error) {
	if word == "?" {
		word = "*"
	}
	f.star = word[0] == '*'
	for part := range strings.SplitSeq(word, ",") {
		set, err := k.parsePart(part)
		if err != nil {
			return f, err
		}
		f.set |= set
	}
	return f, nil
}

func (k kind) parsePart(part string) (set uint64, err error) {
	span, stepText, stepped := strings.Cut(part, "/")
	step := 1
	if stepped {
		if step, err = strconv.Atoi(stepText); err != nil || step < 1 || step > k.end {
			return 0, fmt.Errorf("%q: the step %q isn't one of 1 to %d", part, stepText, k.end)
		}
	}
	from, to, err := k.parseSpan(span, stepped)
	if err != nil {
		return 0, err
	}
	for n := from; n <= to; n += step {
		set |= 1 << n
	}
	return set, nil
}

func (k kind) parseSpan(span string, stepped bool) (from, to int, err error) {
	if span == "*" {
		return k.first, k.end, nil
	}
	begin, end, ranged := strings.Cut(span, "-")
	if from, err = k.number(begin); err != nil {
		return 0, 0, err
	}
	switch {
	case ranged:
		if to, err = k.number(end); err != nil {
			return 0, 0, err
		}
	case stepped: // 5/10 is 5-59/10
		to = k.end
	default:
		to = from
	}
	if k.end == 7 && ranged && to == 0 && from > 0 {
		to = 7 // fri-sun
	}
	if to < from {
		return 0, 0, fmt.Errorf("%q goes backwards (expected the lower one first, or two ranges with a comma)", span)
	}
	return from, to, nil
}

func (k kind) number(text string) (int, error) {
	for n, name := range k.names {
		if strings.EqualFold(text, name) {
			return k.first + n, nil
		}
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < k.first || n > k.end {
		names := ""
		if k.names != nil {
			names = fmt.Sprintf(", or %s to %s", k.names[0], k.names[len(k.names)-1])
		}
		if k.end == 7 {
			names = ", or sun to sat"
		}
		return 0, fmt.Errorf("%q isn't one of %d to %d%s", text, k.first, k.end, names)
	}
	return n, nil
}
