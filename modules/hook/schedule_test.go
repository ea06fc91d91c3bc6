package hook

import (
	"net/http"
	"testing"
	"time"
)

func TestRetriesLastThreeDays(t *testing.T) {
	t.Parallel()
	var longest time.Duration
	attempts := 0
	for ; longest < Patience; attempts++ {
		d := retryIn(attempts + 1)
		bound := min(firstRetry<<min(attempts, 20), lastRetry)
		if d > bound || d < bound*4/5 {
			t.Fatalf("attempt %d is repeated after %s, want up to a fifth less than %s", attempts+1, d, bound)
		}
		longest += d
	}
	if attempts < 15 || attempts > 30 {
		t.Errorf("%d attempts in three days", attempts)
	}
}

func TestRetryAfter(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for header, want := range map[string]time.Duration{
		"": 0, "30": 30 * time.Second, " 7 ": 7 * time.Second, "-5": 0, "99999": maxRetryAfter, "99999999999999": 0, "soon": 0,
		now.Add(time.Minute).Format(http.TimeFormat):    time.Minute,
		now.Add(-time.Hour).Format(http.TimeFormat):     0,
		now.Add(48 * time.Hour).Format(http.TimeFormat): maxRetryAfter,
	} {
		if got := retryAfter(header, now); got != want {
			t.Errorf("%q is %s, want %s", header, got, want)
		}
	}
}

func TestBreakerOpensAndProbes(t *testing.T) {
	t.Parallel()
	var b breaker
	now := time.Now()
	allowed := func(running int) int {
		n, _, _ := b.allows(workers-running, running, now)
		return n
	}
	b.failed(now, "a", true)
	b.failed(now, "a", true)
	if allowed(0) != workers {
		t.Fatal("two failures open the breaker")
	}
	b.failed(now, "a", true)
	if allowed(0) != 0 {
		t.Fatal("three failures in a row do not open the breaker")
	}
	now = now.Add(firstPause)
	if n, early, _ := b.allows(workers, 0, now); n != 1 || !early {
		t.Errorf("after the pause the breaker allows %d deliveries", n)
	}
	if allowed(1) != 0 {
		t.Error("the breaker allows a second delivery at the same time")
	}
	for began := now; now.Before(began.Add(time.Hour)); { // every attempt fails
		b.failed(now, "a", true)
		n, _, next := b.allows(workers, 0, now)
		if bound := min(max(now.Sub(began)/8+firstPause, firstPause), lastPause); n != 0 || next.After(now.Add(bound)) {
			t.Fatalf("%s after it opened, the breaker allows %d deliveries and waits %s, want at most %s", now.Sub(began), n, next.Sub(now), bound)
		}
		now = next
	}
	if allowed(0) != 1 {
		t.Error("the breaker allows no delivery after the pause")
	}
	if !b.answered() || b.answered() || allowed(0) != workers {
		t.Error("the first success does not close the breaker, or the second one reports it again")
	}
	for range 10 {
		b.failed(now, "poison", false)
	}
	if allowed(0) != workers {
		t.Error("one group that the receiver cannot process opens the breaker for all groups")
	}
	b.failed(now, "b", false)
	b.failed(now, "c", false)
	if allowed(0) != 0 {
		t.Error("a receiver that fails for every group does not open the breaker")
	}
}
