package hook

import (
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	firstRetry = 5 * time.Second
	lastRetry  = 8 * time.Hour
	// Patience is how long a group is tried before it is parked.
	Patience = 3 * 24 * time.Hour
	// maxRetryAfter bounds what a receiver can ask for.
	maxRetryAfter = time.Hour
)

// retryIn returns how long to wait after a number of failed attempts: 5 s, twice as long
// after each further one, at most 8 h. Up to a fifth of it is taken off at random, so that
// groups that failed together do not return together.
func retryIn(attempts int) time.Duration {
	d := firstRetry
	for range min(attempts-1, 30) {
		d = min(2*d, lastRetry)
	}
	return d - rand.N(d/5)
}

// retryAfter reads the header of this name: seconds or a date. It returns 0 if there is none.
func retryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0
	}
	var wait time.Duration
	if seconds, err := strconv.ParseInt(header, 10, 32); err == nil {
		wait = time.Duration(seconds) * time.Second
	} else if at, err := http.ParseTime(header); err == nil {
		wait = at.Sub(now)
	}
	return min(max(wait, 0), maxRetryAfter)
}

// silent reports whether an answer means that the receiver did not look at the delivery: it
// is down, or busy. 0 is no answer.
func silent(status int) bool {
	switch status {
	case 0, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
