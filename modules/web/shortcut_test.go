package web_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/web"
)

type echoIn struct {
	ID   string `path:"id"`
	Body thing
}

// TestShorten tells by the answer which way a call has taken.
func TestShorten(t *testing.T) {
	t.Parallel()
	s := start(t, web.Config{})
	web.Register(s.api, huma.Operation{Method: "POST", Path: web.Prefix + "/echo/{id}", OperationID: "echo"},
		func(_ context.Context, in *echoIn) (*thingOut, error) {
			return &thingOut{Body: thing{Name: "long", Extra: map[string]string{"id": in.ID, "name": in.Body.Name}}}, nil
		})
	s.api.Shorten("echo", http.StatusAccepted, thing{Name: "short"}, func(ctx context.Context, param func(string) string, body []byte) error {
		if param("id") == "" || web.Caller(ctx).UserID != "alice" {
			t.Errorf("%q calls about %q", web.Caller(ctx).UserID, param("id"))
		}
		switch {
		case strings.Contains(string(body), "forbidden"):
			return fault.ErrForbidden
		case strings.Contains(string(body), "invalid"):
			return fault.Validation(fault.Field{Field: "name", Message: "is not for me"})
		}
		return nil
	})
	for path, want := range map[string]bool{
		"/v1/echo/1": true, "/v1/echo/a%2Fb": true, "/v1/echo/": false, "/v1/echo": false, "/v1/echo/1/2": false, "/echo/1": false,
	} {
		if got := s.api.IsShort(path); got != want {
			t.Errorf("%s is short: %t", path, got)
		}
	}
	const json = "application/json"
	for name, c := range map[string]struct {
		body   string
		path   string
		header []string
		status int
		part   string
	}{
		"plain":         {body: `{"name":"x"}`, status: 202, part: `{"name":"short"}`},
		"refused":       {body: `{"name":"forbidden"}`, status: 403, part: `"code":"forbidden"`},
		"invalid":       {body: `{"name":"invalid"}`, status: 200, part: `"name":"invalid"`}, // the long way has the whole body
		"with a query":  {body: `{"name":"x"}`, path: "?a=b", status: 200, part: `"long"`},
		"with a key":    {body: `{"name":"x"}`, header: []string{"Idempotency-Key", "k"}, status: 200, part: `"long"`},
		"other type":    {body: `{"name":"x"}`, header: []string{"Content-Type", json + "; charset=utf-8"}, status: 200, part: `"long"`},
		"no body":       {status: 400},
		"long body":     {body: `{"name":"x"` + strings.Repeat(" ", 70_000) + "}", status: 200, part: `"long"`},
		"no text":       {body: `{"name":"x"}`, path: "%00", status: 400},
		"without token": {body: `{"name":"x"}`, header: []string{"Authorization", "none"}, status: 401},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := web.Prefix + "/echo/1" + c.path
			got := s.do("POST", path, c.body, append([]string{"Content-Type", json}, c.header...)...)
			if got.status != c.status || !strings.Contains(got.body, c.part) {
				t.Errorf("%d %s", got.status, got.body)
			}
			if c.part == `{"name":"short"}` && (got.body != c.part+"\n" && got.body != c.part || got.header.Get("Content-Type") != json) {
				t.Errorf("%v %q", got.header, got.body)
			}
		})
	}
}
