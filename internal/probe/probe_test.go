package probe

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheThresholds(t *testing.T) {
	for _, c := range []struct {
		name                string
		successes, failures int
		answers             string // + and -
		want                string // the health after each: ? + -
	}{
		{"one of each", 1, 1, "+-+", "+-+"},
		{"three failures in a row", 1, 3, "+--+---+", "+++++" + "+-+"},
		{"two successes in a row", 2, 1, "+-++-+", "?--+--"},
		{"never a success", 1, 3, "----", "??--"},
		{"both", 2, 2, "+--++-+-++", "??--+++++" + "+"},
	} {
		s := Settings{SuccessThreshold: c.successes, FailureThreshold: c.failures}
		var at tally
		var got strings.Builder
		for _, answer := range c.answers {
			at = at.add(answer == '+', s)
			got.WriteByte("?+-"[at.health])
		}
		if got.String() != c.want {
			t.Errorf("%s: after %s: %s, want %s", c.name, c.answers, got.String(), c.want)
		}
	}
}

// timeline runs a probe for a time, and gives what was told, and when.
func timeline(t *testing.T, total time.Duration, s Settings, check func(n int, ctx context.Context) error) (told []string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), total)
		defer cancel()
		begun, n := time.Now(), 0
		Run(ctx, func(ctx context.Context) error { n++; return check(n, ctx) }, s, func(a Answer) {
			told = append(told, fmt.Sprintf("%s: %v health %d changed %v took %s", time.Since(begun), a.Err, a.Health, a.Changed, a.Took))
		})
	})
	return told
}

func want(t *testing.T, told []string, want ...string) {
	t.Helper()
	if strings.Join(told, "\n") != strings.Join(want, "\n") {
		t.Errorf("told:\n%s\nwant:\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

func TestAProbeWaitsThenAsksInItsPeriod(t *testing.T) {
	s := Settings{InitialDelay: 5 * time.Second, Period: 10 * time.Second, FailureThreshold: 2}
	down := errors.New("down")
	told := timeline(t, 50*time.Second, s, func(n int, _ context.Context) error {
		if n == 2 || n == 3 {
			return down
		}
		return nil
	})
	want(t, told,
		"5s: <nil> health 1 changed true took 0s",
		"15s: down health 1 changed false took 0s",
		"25s: down health 2 changed true took 0s",
		"35s: <nil> health 1 changed true took 0s",
		"45s: <nil> health 1 changed false took 0s")
}

func TestACheckThatTakesTooLongHasFailed(t *testing.T) {
	s := Settings{Period: 10 * time.Second, Timeout: 2 * time.Second, FailureThreshold: 1}
	told := timeline(t, 15*time.Second, s, func(_ int, ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	want(t, told,
		"2s: context deadline exceeded health 2 changed true took 2s",
		"12s: context deadline exceeded health 2 changed false took 2s")
}

// One that takes longer than its period is asked again at once, never twice at a time.
func TestASlowCheckIsFollowedByTheNext(t *testing.T) {
	s := Settings{Period: time.Second, Timeout: 3 * time.Second}
	told := timeline(t, 7*time.Second, s, func(_ int, ctx context.Context) error {
		<-ctx.Done()
		return nil
	})
	want(t, told,
		"3s: <nil> health 1 changed true took 3s",
		"6s: <nil> health 1 changed false took 3s")
}

func TestWhatIsCutShortIsNotTold(t *testing.T) {
	told := timeline(t, time.Second, Settings{Timeout: time.Minute}, func(_ int, ctx context.Context) error {
		<-ctx.Done()
		return ctx.Err()
	})
	want(t, told)
}
