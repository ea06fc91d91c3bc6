package socket

import (
	"math"
	"net/http"
	"strconv"

	"github.com/moim-live/moim/modules/fault"
)

// refusalStatus is the HTTP status of a client that is not let in.
func refusalStatus(kind fault.Kind) int {
	switch kind {
	case fault.Unauthenticated:
		return http.StatusUnauthorized
	case fault.Forbidden:
		return http.StatusForbidden
	case fault.RateLimited:
		return http.StatusTooManyRequests
	case fault.Unavailable:
		return http.StatusServiceUnavailable
	case fault.Internal:
		return http.StatusInternalServerError
	default:
		return http.StatusBadRequest
	}
}

// refusal is the answer to a client that is not let in: an RFC 9457 problem, as
// the HTTP API answers.
type refusal struct{ fault *fault.Error }

// Error implements error.
func (r refusal) Error() string { return r.fault.Error() }

// ServeHTTP implements [http.Handler]; the engine calls it.
func (r refusal) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	status := refusalStatus(r.fault.Kind)
	body := encoded(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
	}{"about:blank", http.StatusText(status), status, r.fault.Message, r.fault.Code})
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	switch r.fault.Kind {
	case fault.Unauthenticated:
		header.Set("WWW-Authenticate", `Bearer realm="moim"`)
	case fault.Unavailable, fault.RateLimited:
		header.Set("Retry-After", strconv.Itoa(max(1, int(math.Ceil(r.fault.Retry.Seconds())))))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}
