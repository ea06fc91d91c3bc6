package hook

import (
	"math/rand/v2"
	"sync"
	"time"
)

const (
	// opensAfter is how many attempts in a row must have failed before a node stops trying
	// all groups of a hook and tries one at a time.
	opensAfter = 3
	// A pause is an eighth of the time for which the receiver has been down, within these
	// bounds. So it is found soon after it is back, however long it was away.
	firstPause = time.Second
	lastPause  = time.Minute
)

// breaker keeps a node from trying many groups of a hook whose receiver is down. While it
// is open, the node tries one group after each pause. It is safe for concurrent use.
type breaker struct {
	mu      sync.Mutex
	silent  int                 // attempts in a row without an answer of the receiver
	failing map[string]struct{} // groups of the attempts that failed in a row
	open    bool
	since   time.Time // when it opened
	until   time.Time // of the pause
}

// allows returns how many groups may be tried of those that could be, and whether groups
// count that are to be tried later. If none may be, it returns when to ask again.
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

// failed records a failed attempt for a group. If the receiver itself did not answer, some
// attempts in a row are enough. If it answered that it failed, that may be because of one
// group: then it takes several.
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
		return // it was under way before the pause
	}
	if !b.open {
		b.open, b.since = true, now
	}
	pause := min(max(now.Sub(b.since)/8, firstPause), lastPause)
	b.until = now.Add(pause - rand.N(pause/5))
}

// answered records that the receiver works. It reports whether that is news.
func (b *breaker) answered() (news bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	news = b.open
	b.silent, b.failing, b.open = 0, nil, false
	return news
}
