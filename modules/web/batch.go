package web

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"strings"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/modules/fault"
)

// Call is a call of an operation from inside another operation.
type Call struct {
	Method string
	Path   string          // with the query; [Prefix] may be left out
	Body   json.RawMessage // may be nil
	Key    string          // Idempotency-Key; may be empty
}

// Reply is the answer to a [Call].
type Reply struct {
	Status int             `json:"status" doc:"as over HTTP" example:"200"`
	Body   json.RawMessage `json:"body,omitempty" doc:"the answer, or the problem; left out when there is none"`
}

type insideKey struct{}

// Inside reports whether ctx belongs to a call that [API.Do] is making.
func Inside(ctx context.Context) bool { return ctx.Value(insideKey{}) != nil }

// Do makes a call with the token of the request that ctx belongs to, like a separate
// request. Errors are problems in the reply. A reply longer than limit bytes becomes
// payload_too_large, although the call was made. A call cannot make further calls.
func (a *API) Do(ctx context.Context, call Call, limit int) Reply {
	outer, ok := ctx.Value(exchangeKey{}).(*exchange)
	if !ok || Inside(ctx) {
		return a.Refuse(ctx, fault.ErrBadRequest.WithMessage("a call of a batch cannot make calls"))
	}
	target, err := url.ParseRequestURI(call.Path)
	if err != nil || target.Host != "" {
		return a.Refuse(ctx, fault.ErrBadRequest.WithMessage("the path of the call is malformed"))
	}
	if !strings.HasPrefix(call.Path, Prefix+"/") {
		target.Path = Prefix + target.Path
		if target.RawPath != "" {
			target.RawPath = Prefix + target.RawPath
		}
	}
	ctx = context.WithValue(ctx, insideKey{}, true)
	req, err := http.NewRequestWithContext(ctx, call.Method, target.String(), bytes.NewReader(call.Body))
	if err != nil {
		return a.Refuse(ctx, fault.ErrBadRequest.WithMessage("the path of the call is malformed"))
	}
	req.RemoteAddr = outer.gin.Request.RemoteAddr
	req.Header.Set("Authorization", outer.gin.GetHeader("Authorization"))
	if call.Body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if call.Key != "" {
		req.Header.Set("Idempotency-Key", call.Key)
	}
	kept := &reply{header: http.Header{}, status: http.StatusOK, left: limit}
	err = a.serveInside(kept, req)
	switch {
	case kept.left < 0: // a stream is then cut off
		return a.Refuse(ctx, fault.ErrTooLarge.WithMessage("the answer is too large for a batch: make this call by itself"))
	case err != nil:
		return a.Refuse(ctx, err)
	}
	return Reply{Status: kept.status, Body: json.RawMessage(bytes.TrimSpace(kept.body.Bytes()))}
}

// serveInside serves a call. It returns an error if the answer was cut off.
func (a *API) serveInside(w http.ResponseWriter, req *http.Request) (err error) {
	defer func() {
		v := recover()
		if cause, _ := v.(error); errors.Is(cause, http.ErrAbortHandler) {
			err = fault.ErrInternal
		} else if v != nil {
			panic(v)
		}
	}()
	a.inside.ServeHTTP(w, req)
	return nil
}

// Refuse returns the reply to a call that is not made, because of err, which is a fault.
func (a *API) Refuse(ctx context.Context, err error) Reply {
	p := newProblem(ctx, fault.From(err))
	body, err := json.Marshal(p)
	if err != nil { // impossible with strings and ints
		body = nil
	}
	return Reply{Status: p.Status, Body: body}
}

// newInside returns the router for calls from inside the API. The surrounding request has
// already passed the middleware.
func (a *API) newInside() *gin.Engine {
	engine := gin.New()
	matchRawPaths(engine)
	recovered := func(c *gin.Context) {
		defer a.recover(c)
		c.Next()
	}
	engine.Use(recovered)
	engine.NoRoute(a.noRoute)
	engine.NoMethod(a.noMethod)
	return engine
}

// reply is a response that is kept in memory. Once left is negative, no more is kept.
type reply struct {
	header http.Header
	status int
	body   bytes.Buffer
	left   int
}

var _ http.Flusher = (*reply)(nil) // gin expects it

func (r *reply) Header() http.Header    { return r.header }
func (r *reply) WriteHeader(status int) { r.status = status }
func (r *reply) Flush()                 {}

func (r *reply) Write(data []byte) (int, error) {
	if r.left -= len(data); r.left < 0 {
		r.body.Reset()
		r.left = -1
		return 0, errReplyTooLong
	}
	return r.body.Write(data)
}

var errReplyTooLong = errors.New("the reply is longer than allowed")
