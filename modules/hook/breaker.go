package hook

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// opensAfter is the number of failed attempts in a row after which a node tries only
	// one group of a hook at a time.
	opensAfter = 3
	// A pause is an eighth of the time for which the receiver has been down, within these
	// bounds. So the node soon notices that the receiver is back, however long it was down.
	firstPause = time.Second
	lastPause  = time.Minute
)

// breaker limits the attempts while the receiver of a hook is down. While it is open, the
// node tries one group after each pause. It is safe for concurrent use.
type breaker struct {
	mu      sync.Mutex
	silent  int                 // attempts in a row without an answer from the receiver
	failing map[string]struct{} // groups of these failed attempts
	open    bool
	since   time.Time // when it opened
	until   time.Time // end of the pause
}

// allows returns how many groups may be tried, given the free slots and the running
// attempts. early means that groups may be claimed before their next attempt is due. If n
// is 0, next is when to ask again.
func (b *breaker) allows(free, running int, now time.Time) (n int, early bool, next time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case !b.open:
		return free, false, time.Time{}
	case now.Before(b.until):
		return 0, false, b.until
	case running > 0 || free == 0:
		return 0, false, now.Add(firstPause)
	default:
		return 1, true, time.Time{}
	}
}

// failed records a failed attempt for a group. If the receiver did not answer (silent),
// some attempts in a row open the breaker. If it answered with a failure, one group may be
// the cause, so attempts of several groups must fail.
func (b *breaker) failed(now time.Time, groupID string, silent bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if silent {
		b.silent++
	}
	if b.failing == nil {
		b.failing = make(map[string]struct{})
	}
	if len(b.failing) < opensAfter {
		b.failing[groupID] = struct{}{}
	}
	if b.silent < opensAfter && len(b.failing) < opensAfter && !b.open {
		return
	}
	if b.open && now.Before(b.until) {
		return // the attempt began before the pause
	}
	if !b.open {
		b.open, b.since = true, now
	}
	pause := min(max(now.Sub(b.since)/8, firstPause), lastPause)
	b.until = now.Add(pause - rand.N(pause/5))
}

// answered records that the receiver works. It returns true if the breaker was open.
func (b *breaker) answered() (news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	news = b.open
	b.silent, b.failing, b.open = 0, nil, false
	return news
}
