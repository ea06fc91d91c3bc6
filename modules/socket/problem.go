package socket

import (
	"cmp"
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/moim-live/moim/internal/requestid"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// encodeFault encodes a failure for a client.
func encodeFault(f *fault.Error) json.RawMessage {
	return encode(Failure{Code: f.Code, Message: f.Message, Reason: f.Reason, Errors: f.Fields, RetryAfter: retryLimited(f)})
}

// encodeConnectError encodes the data of Socket.IO's connect_error.
func encodeConnectError(f *fault.Error) json.RawMessage {
	type code struct {
		Code       string `json:"code"`
		Reason     string `json:"reason,omitempty"`
		RetryAfter int    `json:"retryAfter,omitempty"`
	}
	return encode(struct {
		Message string `json:"message"`
		Data    code   `json:"data"`
	}{f.Message, code{f.Code, f.Reason, retryLimited(f)}})
}

// encode encodes a value that contains only text and numbers.
func encode(v any) json.RawMessage {
	data, _ := rawjson.Marshal(v) // never fails for such a value
	return data
}

// refusalStatus maps kinds of failure to HTTP statuses; others are 400.
var refusalStatus = map[fault.Kind]int{
	fault.Unauthenticated: http.StatusUnauthorized,
	fault.Forbidden:       http.StatusForbidden,
	fault.RateLimited:     http.StatusTooManyRequests,
	fault.Unavailable:     http.StatusServiceUnavailable,
	fault.Internal:        http.StatusInternalServerError,
}

// refusal answers a refused plain client with an RFC 9457 problem, as the HTTP API does.
type refusal struct{ fault *fault.Error }

// Error implements error.
func (r refusal) Error() string { return r.fault.Error() }

// ServeHTTP implements [http.Handler] for the engine.
func (r refusal) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	status := cmp.Or(refusalStatus[r.fault.Kind], http.StatusBadRequest)
	body := encode(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
		Code   string `json:"code"`
		Reason string `json:"reason,omitempty"`

		RequestID string `json:"requestId,omitempty"`
	}{"about:blank", http.StatusText(status), status, r.fault.Message, r.fault.Code, r.fault.Reason, requestid.From(request.Context())})
	header := w.Header()
	header.Set("Content-Type", "application/problem+json")
	header.Set("Cache-Control", "no-store")
	switch r.fault.Kind {
	case fault.Unauthenticated:
		header.Set("WWW-Authenticate", `Bearer realm="moim"`)
	case fault.Unavailable, fault.RateLimited:
		header.Set("Retry-After", strconv.Itoa(r.fault.RetryAfter()))
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client may be gone
}
