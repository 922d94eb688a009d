package api

import (
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/foster-init/foster/client"
)

// question reads a query. It keeps the first error.
type question struct {
	values url.Values
	err    error
}

func (q *question) wrong(err error) {
	if q.err == nil {
		q.err = err
	}
}

func (q *question) text(name string) string { return q.values.Get(name) }

func (q *question) number(name string) int {
	text := q.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		q.wrong(badf("%s=%s: a number, 0 or more, was expected", name, text))
	}
	return int(n)
}

// signed is number, which may be less than 0.
func (q *question) signed(name string) int {
	rest, negative := strings.CutPrefix(q.text(name), "-")
	if !negative {
		return q.number(name)
	}
	inner := question{values: url.Values{name: {rest}}}
	n := inner.number(name)
	if inner.err != nil {
		q.wrong(inner.err)
	}
	return -n
}

func (q *question) sequence(name string) uint64 {
	text := q.text(name)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		q.wrong(badf("%s=%s: the number of an event was expected", name, text))
	}
	return n
}

// flag reads yes or no. That a name is there is a yes.
func (q *question) flag(name string) bool {
	text := q.text(name)
	if text == "" {
		return q.values.Has(name)
	}
	yes, err := strconv.ParseBool(text)
	if err != nil {
		q.wrong(badf("%s=%s: true or false were expected", name, text))
	}
	return yes
}

func (q *question) moment(name string) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	at, err := moment(text)
	if err != nil {
		q.wrong(err)
	}
	return at
}

// choice reads one of some words, or none.
func (q *question) choice(name string, words ...string) string {
	text := q.text(name)
	for _, w := range words {
		if text == w {
			return text
		}
	}
	if text != "" {
		q.wrong(badf("%s=%s: %s were expected", name, text, strings.Join(words, " or ")))
	}
	return ""
}

// targets reads APP or APP.REPLICA, any number of times.
func (q *question) targets(name string) (list []client.Target) {
	for _, text := range q.values[name] {
		t := client.Target{App: text}
		if dot := strings.LastIndexByte(text, '.'); dot >= 0 {
			if n, err := strconv.ParseUint(text[dot+1:], 10, 31); err == nil {
				t = client.Target{App: text[:dot], Replica: int(n)}
			}
		}
		if err := checkTarget(t); err != nil {
			q.wrong(err)
		}
		list = append(list, t)
	}
	return list
}
