package web

import (
	"context"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humagin"
	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/limit"
)

// adapter adds huma's operations to the router. It makes the checks that must come before
// huma reads the request.
type adapter struct{ api *API }

func (ad *adapter) Handle(op *huma.Operation, handler func(huma.Context)) {
	path := strings.NewReplacer("{", ":", "}", "").Replace(op.Path)
	serve := func(c *gin.Context, rawPaths bool) {
		x := &exchange{humaContext: humagin.NewContext(op, c), gin: c, rawPaths: rawPaths}
		if err := ad.api.admit(op, c, x); err != nil {
			ad.api.fail(c, err)
			return
		}
		handler(x)
	}
	ad.api.handle(op.Method, path, func(c *gin.Context) { serve(c, ad.api.rawPaths) })
	ad.api.inside.Handle(op.Method, path, func(c *gin.Context) { serve(c, true) })
}

// ServeHTTP implements huma.Adapter. Only huma's own tests use it.
func (ad *adapter) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.WriteHeader(http.StatusNotImplemented)
}

// admit checks a request before its body is read.
func (a *API) admit(op *huma.Operation, c *gin.Context, x *exchange) error {
	c.Header("Cache-Control", "no-store")
	ctx := context.WithValue(c.Request.Context(), exchangeKey{}, x)
	for _, name := range []string{"Authorization", "Idempotency-Key"} {
		if len(c.Request.Header.Values(name)) > 1 {
			return fault.ErrBadRequest.WithMessage("there must be one " + name + " header")
		}
	}
	if !isPublic(op) {
		id, err := a.authenticate(ctx, c.Request)
		if err != nil {
			return err
		}
		limit.Settle(ctx, id.UserID, id.Admin)
		ctx = context.WithValue(ctx, callerKey{}, id)
		x.ctx = ctx
		if err := a.checkRequest(op, c, x); err != nil {
			return err
		}
		if !id.Admin {
			return a.limits.Request(id.UserID)
		}
		return nil
	}
	x.ctx = ctx
	return a.checkRequest(op, c, x)
}

// run waits until the caller may run one more request. It is called after the body was
// read, because a client that sends a body slowly must not block the user's other requests.
func (a *API) run(ctx context.Context) (done func(), err error) {
	id := Caller(ctx)
	if id.Admin || id.UserID == "" {
		return func() {}, nil
	}
	return a.limits.Run(ctx, id.UserID)
}

// checkRequest makes the checks that huma does not make.
func (a *API) checkRequest(op *huma.Operation, c *gin.Context, x *exchange) error {
	for _, p := range c.Params {
		if !isText(x.Param(p.Key)) {
			return fault.ErrBadRequest.WithMessage("the path contains bytes that are not text")
		}
	}
	if err := textQuery(c.Request.URL.RawQuery); err != nil {
		return err
	}
	if c.GetHeader("If-Match") != "" && op.Method != http.MethodGet && !takesIfMatch(op) {
		return fault.ErrBadRequest.WithMessage("this call changes no record that has a revision: leave out If-Match")
	}
	if op.RequestBody != nil && op.MaxBodyBytes > 0 && c.Request.ContentLength >= op.MaxBodyBytes {
		return tooLarge(op)
	}
	return nil
}

// authenticate returns the identity in a request's token.
func (a *API) authenticate(ctx context.Context, req *http.Request) (auth.Identity, error) {
	token, ok := bearerToken(req.Header.Get("Authorization"))
	if !ok {
		return auth.Identity{}, fault.ErrUnauthorized
	}
	id, err := a.verify(ctx, token)
	if failure := fault.From(err); err != nil && failure.Kind == fault.Unauthenticated && a.refused.May(refusalEvery) {
		a.log.InfoContext(ctx, "web: refused a token", "because", failure.Message, "remote", req.RemoteAddr)
	}
	return id, err
}

// takesIfMatch reports whether an operation compares revisions. Other operations refuse the
// header If-Match, because a client that sends it relies on it.
func takesIfMatch(op *huma.Operation) bool {
	return slices.ContainsFunc(op.Parameters, func(p *huma.Param) bool { return p.In == "header" && p.Name == "If-Match" })
}

// textQuery returns an error if a query string is malformed or contains bytes that are not
// text.
func textQuery(raw string) error {
	if raw == "" {
		return nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil {
		return fault.ErrBadRequest.WithMessage("the query string is malformed")
	}
	for _, values := range query {
		for _, v := range values {
			if !isText(v) {
				return fault.ErrBadRequest.WithMessage("the query string contains bytes that are not text")
			}
		}
	}
	return nil
}

// bearerToken returns the token of an Authorization header.
func bearerToken(header string) (string, bool) {
	scheme, token, ok := strings.Cut(header, " ")
	token = strings.TrimSpace(token)
	return token, ok && strings.EqualFold(scheme, "Bearer") && token != ""
}

// isText reports whether databases accept s as text. They refuse NUL and invalid UTF-8.
func isText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

type exchangeKey struct{}

// humaContext has another name than Context, so that the embedded field does not hide the
// method Context.
type humaContext = huma.Context

// exchange is one request and its response in the form that huma needs.
type exchange struct {
	humaContext
	gin      *gin.Context
	ctx      context.Context //nolint:containedctx // lives exactly as long as the request
	rawPaths bool
	override int // status of a problem that replaces a huma error, or 0
}

// Context implements huma.Context.
func (x *exchange) Context() context.Context { return x.ctx }

// Unwrap lets humagin.Unwrap find gin's context.
func (x *exchange) Unwrap() huma.Context { return x.humaContext }

// Param implements huma.Context.
func (x *exchange) Param(name string) string {
	v := x.gin.Param(name)
	if x.rawPaths && x.gin.Request.URL.RawPath != "" {
		if plain, err := url.PathUnescape(v); err == nil {
			return plain
		}
	}
	return v
}

// Header implements huma.Context. It removes the parameters of a content type,
// such as the charset, because huma compares content types literally.
func (x *exchange) Header(name string) string {
	v := x.gin.GetHeader(name)
	if http.CanonicalHeaderKey(name) == "Content-Type" {
		if media, _, err := mime.ParseMediaType(v); err == nil {
			return media
		}
	}
	return v
}

// SetStatus implements huma.Context.
func (x *exchange) SetStatus(status int) {
	if x.override != 0 {
		status = x.override
	}
	x.humaContext.SetStatus(status)
}
