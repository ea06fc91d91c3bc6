package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/requestid"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/web"
)

func TestMain(m *testing.M) {
	gin.SetMode(gin.TestMode)
	childtest.VerifyMain(m)
}

type thing struct {
	Name    string            `json:"name" minLength:"1" maxLength:"10"`
	Size    int               `json:"size,omitempty" minimum:"0"`
	Members []string          `json:"members,omitempty" maxItems:"3"`
	Inner   *inner            `json:"inner,omitempty"`
	Extra   map[string]string `json:"extra,omitempty"`
}

type inner struct {
	Count int `json:"count"`
}

type server struct {
	t    *testing.T
	http *httptest.Server
	api  *web.API
	logs *childtest.Log
}

const token = "very-secret-token"

func verify(_ context.Context, got string) (auth.Identity, error) {
	if got != token {
		return auth.Identity{}, fault.ErrUnauthorized.WithMessage("the token's signature is wrong")
	}
	return auth.Identity{UserID: "alice"}, nil
}

func start(t *testing.T, cfg web.Config, opts ...web.Option) *server {
	t.Helper()
	s := &server{t: t, logs: &childtest.Log{}}
	log := requestid.Log(slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug})))
	engine := gin.New()
	s.api = web.New(engine, cfg, verify, log, opts...)
	s.api.Own(engine)
	routes(s.api)
	s.http = httptest.NewServer(engine)
	t.Cleanup(func() {
		s.http.Client().CloseIdleConnections()
		s.http.Close()
	})
	return s
}

func routes(api *web.API) {
	web.Register(api, huma.Operation{Method: "POST", Path: web.Prefix + "/things", DefaultStatus: 201},
		func(_ context.Context, in *createIn) (*thingOut, error) {
			return &thingOut{ETag: web.ETag(7), Body: in.Body}, nil
		})
	web.Register(api, huma.Operation{Method: "POST", Path: web.Prefix + "/small", MaxBodyBytes: 64},
		func(_ context.Context, in *createIn) (*thingOut, error) { return &thingOut{Body: in.Body}, nil })
	web.Register(api, huma.Operation{Method: "POST", Path: web.Prefix + "/own", SkipValidateBody: true},
		func(_ context.Context, in *createIn) (*none, error) { return &none{}, nil })
	web.Register(api, huma.Operation{Method: "GET", Path: web.Prefix + "/things", OperationID: "list-things"},
		func(_ context.Context, in *listIn) (*listOut, error) {
			if in.Limit != 50 {
				return nil, fault.ErrForbidden
			}
			if _, err := api.ParseCursor("things", in.Cursor); err != nil {
				return nil, err
			}
			return &listOut{Body: web.Page[int]{Items: []int{1}, NextCursor: api.Cursor("things", "1")}}, nil
		})
	web.Register(api, huma.Operation{Method: "GET", Path: web.Prefix + "/things/{id}"},
		func(ctx context.Context, in *getIn) (*getOut, error) {
			out := &getOut{}
			out.Body.ID, out.Body.Caller = in.ID, web.Caller(ctx).UserID
			return out, nil
		})
	web.Register(api, huma.Operation{Method: "POST", Path: web.Prefix + "/things/{id}/touch"},
		func(context.Context, *getIn) (*none, error) { return nil, nil })
	web.Register(api, huma.Operation{Method: "POST", Path: web.Prefix + "/optional"},
		func(_ context.Context, in *optionalIn) (*none, error) { return &none{}, nil })
	web.Register(api, web.Public(huma.Operation{Method: "GET", Path: web.Prefix + "/open"}),
		func(context.Context, *none) (*none, error) { return &none{}, nil })
	web.Register(api, huma.Operation{Method: "GET", Path: web.Prefix + "/fail/{id}"},
		func(_ context.Context, in *getIn) (*none, error) { return nil, failures[in.ID] })
	web.Register(api, huma.Operation{Method: "GET", Path: web.Prefix + "/panic"},
		func(context.Context, *none) (*none, error) { panic("boom") })
	web.Register(api, huma.Operation{Method: "GET", Path: web.Prefix + "/unencodable"},
		func(context.Context, *none) (*struct{ Body any }, error) {
			return &struct{ Body any }{Body: func() {}}, nil
		})
}

var failures = map[string]error{
	"unknown":     errors.New("the password is hunter2"),
	"odd":         fault.New(fault.Internal, "disk_full", "hunter2"),
	"forbidden":   fault.ErrForbidden,
	"notfound":    fault.ErrNotFound,
	"gone":        fault.New(fault.Gone, "log_truncated", "gone"),
	"conflict":    fault.New(fault.Conflict, "group_full", "full"),
	"changed":     fault.New(fault.Precondition, "version_conflict", "changed"),
	"toolarge":    fault.ErrTooLarge,
	"limited":     &fault.Error{Kind: fault.RateLimited, Code: "rate_limited", Message: "slow", Retry: 1500 * time.Millisecond},
	"unavailable": fault.ErrUnavailable.WithCause(errors.New("dial tcp: refused")),
	"invalid":     fault.Validation(fault.Field{Field: "name", Message: "is taken"}),
}

type answer struct {
	status int
	header http.Header
	body   string
}

func (s *server) do(method, path, body string, header ...string) answer {
	s.t.Helper()
	var r io.Reader
	if body != "" {
		r = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.http.URL+path, r)
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	if body != "" {
		req.Header.Set("Content-Type", "application/json; charset=utf-8")
	}
	for i := 0; i+1 < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	res, err := s.http.Client().Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return answer{status: res.StatusCode, header: res.Header, body: string(data)}
}

// problem checks that an answer is a problem and returns it.
func (s *server) problem(a answer, status int, code string) web.Problem {
	s.t.Helper()
	var p web.Problem
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		s.t.Fatalf("not JSON: %q", a.body)
	}
	if a.status != status || p.Status != status || p.Code != code || p.Detail == "" || p.Type != "about:blank" || p.Title == "" {
		s.t.Errorf("status %d, %s; want %d %s", a.status, a.body, status, code)
	}
	if ct := a.header.Get("Content-Type"); ct != "application/problem+json" {
		s.t.Errorf("content type %q", ct)
	}
	if p.RequestID == "" || p.RequestID != a.header.Get("X-Request-Id") {
		s.t.Errorf("request %q in the body, %q in the header", p.RequestID, a.header.Get("X-Request-Id"))
	}
	return p
}
