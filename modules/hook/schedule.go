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
	// Patience is how long failing deliveries of a group are retried before it is parked.
	Patience = 3 * 24 * time.Hour
	// maxRetryAfter is the longest wait that a receiver can request.
	maxRetryAfter = time.Hour
)

// retryIn returns the wait after a number of failed attempts: 5 s, then twice as long after
// each further one, at most 8 h. It subtracts up to a fifth at random, so that groups that
// failed together are not retried together.
func retryIn(attempts int) time.Duration {
	d := firstRetry
	for range min(attempts-1, 30) {
		d = min(2*d, lastRetry)
	}
	return d - rand.N(d/5)
}

// retryAfter parses the header Retry-After: seconds or a date. It returns 0 if there is
// none.
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

// silent reports whether a status means that the receiver did not process the delivery,
// because it is down or busy. 0 means no answer.
func silent(status int) bool {
	switch status {
	case 0, http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}
