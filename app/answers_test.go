package app

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/modules/auth"
)

// TestEveryAnswerHasItsType makes valid and invalid calls on all routes, and requests that other
// layers refuse. Each answer must name its content type and forbid browsers to guess another.
func TestEveryAnswerHasItsType(t *testing.T) {
	t.Parallel()
	s := newServer(t)
	engine, ok := s.http.Handler.(*gin.Engine)
	if !ok {
		t.Fatalf("the handler is a %T", s.http.Handler)
	}
	if err := s.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := s.Stop(ctx); err != nil {
			t.Errorf("stop: %v", err)
		}
	})
	token, err := auth.Mint([]byte(s.cfg.Auth.Secret), auth.Identity{UserID: "alice", Expires: time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	authorized := "Authorization: Bearer " + token
	const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="

	for _, r := range engine.Routes() {
		path := strings.NewReplacer(":", "", "*", "").Replace(r.Path)
		for _, header := range []string{"", authorized, "Authorization: Bearer x", authorized + "\r\nContent-Type: text/plain", "Origin: http://evil.example"} {
			for _, body := range []string{"", "{", `{"name":1}`} {
				s.wantType(t, r.Method+" "+path+" HTTP/1.1", header, body)
			}
		}
	}
	for _, test := range []struct{ line, header string }{
		{"GET /nowhere HTTP/1.1", ""},
		{"HEAD /nowhere HTTP/1.1", ""},
		{"DELETE /healthz HTTP/1.1", ""},
		{"GET /v1/groups/ HTTP/1.1", authorized},
		{"GET /v1/groups?limit=x HTTP/1.1", authorized},
		{"GET /v1/groups?q=%ff HTTP/1.1", authorized},
		{"GET /v1/groups/%ff HTTP/1.1", authorized},
		{"GET /docs/ HTTP/1.1", ""},
		{"GET /docs HTTP/1.1", ""},
		{"OPTIONS /v1/groups HTTP/1.1", "Origin: http://evil.example"},
		{"PUT /ws HTTP/1.1", ""},
		{"GET /ws HTTP/1.1", ""},
		{"GET /ws HTTP/1.1", upgrade},
		{"GET /ws HTTP/1.1", upgrade + "\r\n" + authorized},
		{"GET /ws HTTP/1.1", upgrade + "\r\nOrigin: http://evil.example"},
		{"GET /ws HTTP/1.1", strings.Replace(upgrade, "13", "12", 1)},
		{"GET /ws HTTP/1.1", upgrade + "\r\nSec-WebSocket-Key: x"},
		{"GET /ws HTTP/1.0", upgrade},
		{"GET /socket.io HTTP/1.1", ""},
		{"PUT /socket.io/ HTTP/1.1", ""},
		{"GET /socket.io/?EIO=4&transport=polling HTTP/1.1", ""},
		{"GET /socket.io/?EIO=4&transport=polling HTTP/1.1", upgrade},
		{"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1", ""},
		{"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1", upgrade},
		{"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1", upgrade + "\r\nOrigin: http://evil.example"},
		{"GET /socket.io/?EIO=3&transport=websocket HTTP/1.1", upgrade},
		{"POST /socket.io/?EIO=4&transport=websocket HTTP/1.1", upgrade},
		{"GET /socket.io/?EIO=4&transport=websocket&sid=x HTTP/1.1", upgrade},
		{"GET /socket.io/?EIO=4&transport=websocket HTTP/1.0", upgrade},
	} {
		s.wantType(t, test.line, test.header, "")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := s.app.routes.Drain(ctx); err != nil {
		t.Fatal(err)
	}
	s.wantType(t, "GET /ws HTTP/1.1", upgrade, "")
	s.wantType(t, "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1", upgrade, "")
	s.wantType(t, "GET /readyz HTTP/1.1", "", "")
}

// wantType sends one request and checks the content type of the answer.
func (s *Server) wantType(t *testing.T, line, header, body string) {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", s.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	request := line + "\r\nHost: x\r\n"
	if header != "" {
		request += header + "\r\n"
	}
	if body != "" {
		request += "Content-Length: " + strconv.Itoa(len(body)) + "\r\n"
	}
	if _, err := io.WriteString(conn, request+"\r\n"+body); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(line, " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Errorf("%s %q %q: no answer: %v", line, header, body, err)
		return
	}
	defer func() { _ = resp.Body.Close() }()
	if got := resp.Header.Values("X-Content-Type-Options"); len(got) != 1 || got[0] != "nosniff" {
		t.Errorf("%s %q %q: %d with X-Content-Type-Options %q", line, header, body, resp.StatusCode, got)
	}
	switch resp.StatusCode {
	case http.StatusSwitchingProtocols, http.StatusNoContent, http.StatusNotModified:
		return
	}
	if kind := resp.Header.Get("Content-Type"); kind == "" {
		text, _ := io.ReadAll(resp.Body)
		t.Errorf("%s %q %q: %d without a content type: %q", line, header, body, resp.StatusCode, bytes.TrimSpace(text))
	}
}
