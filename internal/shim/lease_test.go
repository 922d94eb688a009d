package shim

import (
	"math"
	"testing"
	"time"

	"github.com/foster-init/foster/internal/wire"
)

const hour = time.Hour

func TestALeaseIsAsItWasAsked(t *testing.T) {
	for _, tt := range []struct {
		name  string
		asked wire.Lease
		want  lease
	}{
		{"none", wire.Lease{}, lease{}},
		{"a negative one is none", wire.Lease{Time: -1}, lease{}},
		{"a time", wire.Lease{Time: hour}, lease{end: 3 * hour}},
		{"a bound", wire.Lease{Time: hour, Max: 2 * hour, Warn: 5}, lease{end: 3 * hour, limit: 4 * hour, warn: 5}},
		{"no lease is longer than its bound", wire.Lease{Time: 3 * hour, Max: hour}, lease{end: 3 * hour, limit: 3 * hour}},
		{"no sum overflows", wire.Lease{Time: math.MaxInt64, Max: math.MaxInt64},
			lease{end: 2*hour + forever, limit: 2*hour + forever}},
	} {
		if got := newLease(tt.asked, 2*hour); got != tt.want {
			t.Errorf("%s: %+v, want %+v", tt.name, got, tt.want)
		}
	}
}

func TestWhatIsDueOnALease(t *testing.T) {
	warned := lease{end: 10 * hour, warn: hour, warned: true}
	unwarned := lease{end: 10 * hour, warn: hour}
	plain := lease{end: 10 * hour}
	for _, tt := range []struct {
		name string
		from lease
		now  time.Duration
		to   lease
		due  leaseEvent
		next time.Duration
	}{
		{"without a lease nothing ever is", lease{}, math.MaxInt64, lease{}, nothingDue, 0},
		{"before the warning", unwarned, 9*hour - 1, unwarned, nothingDue, 9 * hour},
		{"at the warning", unwarned, 9 * hour, warned, endingDue, 10 * hour},
		{"it is warned once", warned, 9*hour + 1, warned, nothingDue, 10 * hour},
		{"at the end", warned, 10 * hour, warned, overDue, 10 * hour},
		{"a clock that is late warns, too, before it's over", unwarned, 11 * hour, warned, endingDue, 10 * hour},
		{"without a warning", plain, 10*hour - 1, plain, nothingDue, 10 * hour},
		{"after the end", plain, math.MaxInt64, plain, overDue, 10 * hour},
	} {
		got, due := tt.from.due(tt.now)
		if got != tt.to || due != tt.due || got.next() != tt.next {
			t.Errorf("%s: %+v, %d, next %v; want %+v, %d, %v", tt.name, got, due, got.next(), tt.to, tt.due, tt.next)
		}
	}
}

func TestExtensionsAreBoundAndNeverCut(t *testing.T) {
	l := lease{end: 10 * hour, limit: 20 * hour, warn: hour, warned: true}
	free := lease{end: 10 * hour, warned: true}
	to := func(l lease, end time.Duration) lease { l.end, l.warned = end, false; return l }
	for _, tt := range []struct {
		name      string
		from      lease
		more      time.Duration
		extended  lease
		refused   bool
		stretched lease
	}{
		{"without a lease", lease{}, hour, lease{}, true, lease{}},
		{"by nothing", l, 0, l, true, l},
		{"by less than nothing", l, math.MinInt64, l, true, l},
		{"by less than is left", l, hour, l, false, l},
		{"by as much as is left", l, 2 * hour, l, false, l},
		{"by more", l, 3 * hour, to(l, 11*hour), false, to(l, 11*hour)},
		{"up to its bound", l, 12 * hour, to(l, 20*hour), false, to(l, 20*hour)},
		{"beyond its bound", l, 12*hour + 1, l, true, to(l, 20*hour)},
		{"without a bound", free, forever, to(free, 8*hour+forever), false, to(free, 8*hour+forever)},
		{"by more than can be counted", free, math.MaxInt64, free, true, to(free, 8*hour+forever)},
	} {
		got, err := tt.from.extend(8*hour, tt.more)
		if got != tt.extended || (err != nil) != tt.refused {
			t.Errorf("%s: extended %+v, %v; want %+v", tt.name, got, err, tt.extended)
		}
		if got := tt.from.stretch(8*hour, tt.more); got != tt.stretched {
			t.Errorf("%s: stretched %+v, want %+v", tt.name, got, tt.stretched)
		}
	}
	if d := l.left(11 * hour); d != 0 {
		t.Errorf("%v left after its end", d)
	}
}
