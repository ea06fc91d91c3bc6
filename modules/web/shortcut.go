package web

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moim-live/moim/modules/fault"
)

// maxShort is how many bytes the body of a short call has at most.
const maxShort = 64 << 10

// Shortcut is another way to an operation that is called so often that huma's
// reflection, in a call that does little else, would be felt: it decodes and
// carries out what it can, and changes nothing when it returns an error.
type Shortcut func(ctx context.Context, param func(name string) string, body []byte) error

type shortcut struct {
	before, after string // of the path's parameter
	status        int
	answer        []byte
	do            Shortcut
}

// Shorten makes do serve an operation's plain calls: no query, no
// Idempotency-Key, a short body that is said to be JSON. The answer is always
// the same. All other calls, and those for which do returns a fault of the kind
// Invalid, take the way that [Register] laid. Call it before serving.
func (a *API) Shorten(operationID string, status int, answer any, do Shortcut) {
	var body bytes.Buffer
	_ = marshal(&body, answer) // it does not fail
	s := shortcut{status: status, answer: body.Bytes(), do: do}
	for path, item := range a.huma.OpenAPI().Paths {
		if item.Post != nil && item.Post.OperationID == operationID {
			before, rest, _ := strings.Cut(path, "{")
			_, after, _ := strings.Cut(rest, "}")
			s.before, s.after = before, after
		}
	}
	a.shortcuts[operationID] = s
}

// IsShort reports whether calls of an operation with a shortcut are posted to
// a path.
func (a *API) IsShort(path string) bool {
	for _, s := range a.shortcuts {
		param, begins := strings.CutPrefix(path, s.before)
		param, ends := strings.CutSuffix(param, s.after)
		if begins && ends && param != "" && !strings.Contains(param, "/") {
			return true
		}
	}
	return false
}

// shortly serves a call that was admitted, or leaves it as it was and returns
// false.
func (a *API) shortly(op *huma.Operation, x *exchange) bool {
	s, ok := a.shortcuts[op.OperationID]
	r := x.gin.Request
	if !ok || r.ContentLength <= 0 || r.ContentLength > maxShort || r.URL.RawQuery != "" ||
		r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Idempotency-Key") != "" {
		return false
	}
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); !ok || server.ReadTimeout <= 0 { // else there is a deadline
		_ = x.SetReadDeadline(time.Now().Add(op.BodyReadTimeout))
	}
	body := make([]byte, r.ContentLength)
	n, err := io.ReadFull(r.Body, body)
	whole := err == nil
	if whole {
		err = s.do(x.ctx, x.Param, body)
	}
	switch {
	case err == nil:
		x.gin.Header("Content-Type", "application/json")
		x.gin.Writer.WriteHeader(s.status)
		_, _ = x.gin.Writer.Write(s.answer) // an error means that the client is gone
	case !whole, fault.From(err).Kind == fault.Invalid:
		r.Body = readAgain{io.MultiReader(bytes.NewReader(body[:n]), r.Body), r.Body}
		return false
	default:
		a.fail(x.gin, err)
	}
	return true
}

// readAgain is a body of which a part was read.
type readAgain struct {
	io.Reader
	io.Closer
}
