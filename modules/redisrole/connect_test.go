package redisrole_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	neturl "net/url"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/redisrole"
)

// TestConnect: whoever connects is who the role's client is, and may be reset as
// it is.
func TestConnect(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][]redistest.Option{
		"plain": nil,
		"user":  {redistest.WithUser("moim", "secret")},
		"TLS":   {redistest.WithTLS(), redistest.WithUser("moim", "secret")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, options...)
			url, err := neturl.Parse(s.URL())
			if err != nil {
				t.Fatal(err)
			}
			url.Path = "/3"
			if url.Scheme == "rediss" {
				url.RawQuery = "tls_ca=" + s.CAFile()
			}
			clients := open(t, redisrole.Config{URL: url.String(), Prefix: "shop"}, nil)
			if !clients.Connects(redisrole.Socket) {
				t.Fatal("it cannot connect")
			}
			conn, err := clients.Connect(t.Context(), redisrole.Socket)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if !conn.Quiet() {
				t.Error("something has arrived on a new connection")
			}
			if _, err := fmt.Fprint(conn, "CLIENT INFO\r\n"); err != nil {
				t.Fatal(err)
			}
			answers := bufio.NewReader(conn)
			_, _ = answers.ReadString('\n')
			info, err := answers.ReadString('\n')
			if err != nil || !strings.Contains(info, " name=shop:n1 ") || !strings.Contains(info, " db=3 ") {
				t.Errorf("the server knows it as %q, %v", info, err)
			}
			clients.Reset(redisrole.Socket)
			if _, err := conn.Write([]byte("PING\r\n")); err == nil {
				t.Error("a connection that was reset is written to")
			}
		})
	}
}

// TestQuiet: an end is noticed without reading.
func TestQuiet(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	clients := open(t, redisrole.Config{URL: s.URL()}, nil)
	conn, err := clients.Connect(t.Context(), redisrole.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.Kill()
	eventually(t, "the end is noticed", func() bool { return !conn.Quiet() })
}

func TestConnectFails(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	clients := open(t, redisrole.Config{URL: s.URL()}, nil)
	s.Kill()
	if _, err := clients.Connect(t.Context(), redisrole.Socket); err == nil || !strings.Contains(err.Error(), "socket role") {
		t.Errorf("without a server: %v", err)
	}
	given := redis.NewClient(&redis.Options{Addr: s.Addr()})
	defer given.Close()
	for name, clients := range map[string]*redisrole.Clients{
		"given":    open(t, redisrole.Config{}, map[redisrole.Role]redis.UniversalClient{redisrole.Socket: given, redisrole.Group: given}),
		"cluster":  open(t, redisrole.Config{URL: "redis+cluster://127.0.0.1:1"}, nil),
		"sentinel": open(t, redisrole.Config{URL: "redis+sentinel://127.0.0.1:1/master"}, nil),
		"none":     open(t, redisrole.Config{}, nil),
	} {
		if _, err := clients.Connect(context.Background(), redisrole.Socket); !errors.Is(err, redisrole.ErrNoConn) || clients.Connects(redisrole.Socket) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestConnHasNoDeadline: whoever reads may wait for longer than the client would.
func TestConnHasNoDeadline(t *testing.T) {
	t.Parallel()
	clients := open(t, redisrole.Config{URL: redistest.Start(t).URL() + "?read_timeout=1s"}, nil)
	conn, err := clients.Connect(t.Context(), redisrole.Socket)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprint(conn, "BLPOP nothing 2\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := bufio.NewReader(conn).ReadString('\n'); err != nil {
		t.Errorf("read: %v", err)
	}
}
