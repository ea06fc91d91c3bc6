// Package requestid gives each request an id, with which its lines in the log can be found.
// The package knows no routes and no sockets.
package requestid

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"net/http"
	"strings"
)

// Header carries the id in requests and responses.
const Header = "X-Request-Id"

// maxLength is the maximum length of clients' ids, in bytes.
const maxLength = 128

type contextKey struct{}

// With returns a context for serving the request with this id.
func With(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, contextKey{}, id)
}

// From returns the id of the request that ctx serves. It is empty outside of
// requests.
func From(ctx context.Context) string {
	id, _ := ctx.Value(contextKey{}).(string)
	return id
}

// New returns an id in the form of a trace id.
func New() string {
	var random [16]byte
	_, _ = rand.Read(random[:]) // never fails: crypto/rand ends the program instead
	return hex.EncodeToString(random[:])
}

// Asked returns the X-Request-Id of a request, or "" if it is missing or unusable.
func Asked(r *http.Request) string {
	if ids := r.Header.Values(Header); len(ids) == 1 && usable(ids[0]) {
		return ids[0]
	}
	return ""
}

// Of returns the id for a request: its X-Request-Id, or else the trace id in its
// traceparent. If both are missing or unusable, it returns a new id.
func Of(r *http.Request) string {
	if id := Asked(r); id != "" {
		return id
	}
	if parents := r.Header.Values("Traceparent"); len(parents) == 1 {
		if id := traceID(parents[0]); id != "" {
			return id
		}
	}
	return New()
}

// safe are the characters that ids may have. They need no quotes in headers, logs and URLs.
const safe = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.:=+/"

func usable(id string) bool { return id != "" && len(id) <= maxLength && strings.Trim(id, safe) == "" }

// traceID returns the trace id of a traceparent header (W3C Trace Context), or "" if the
// header is invalid.
func traceID(parent string) string {
	const length = len("00-0123456789abcdef0123456789abcdef-0123456789abcdef-00")
	if len(parent) < length || parent[2] != '-' || parent[35] != '-' || parent[52] != '-' {
		return ""
	}
	version, trace, span, flags := parent[:2], parent[3:35], parent[36:52], parent[53:length]
	switch {
	case !lowerHex(version + trace + span + flags), version == "ff":
	case version == "00" && len(parent) != length, len(parent) > length && parent[length] != '-':
	case strings.Trim(trace, "0") == "", strings.Trim(span, "0") == "":
	default:
		return trace
	}
	return ""
}

func lowerHex(s string) bool { return strings.Trim(s, "0123456789abcdef") == "" }
