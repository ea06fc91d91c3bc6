package sqlstore_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// TestRoundTripsOfACall counts the round trips between a node and PostgreSQL. Each one ends
// when the server sends ReadyForQuery.
func TestRoundTripsOfACall(t *testing.T) {
	t.Parallel()
	u, err := url.Parse(servicetest.NewPostgres(t))
	if err != nil {
		t.Fatal(err)
	}
	var ready atomic.Int64
	u.Host = countReady(t, u.Host, &ready)
	b := servicetest.NewOn(group.Config{}, sqlstore.New(servicetest.OpenDatabase(t, u.String())))
	alice := servicetest.User("alice")
	g := b.NewGroup(t, `{"name":"g"}`)
	post := func(ctx context.Context) error {
		_, err := b.Post(ctx, alice, g.ID, dto.MessageRequest{Data: json.RawMessage(`1`)})
		return err
	}
	keys := 0
	for _, c := range []struct {
		name string
		do   func(ctx context.Context) error
		most int64
	}{
		{"post", post, 4},
		{"post under a key", func(ctx context.Context) error {
			keys++
			return post(group.WithKey(ctx, fmt.Sprint(keys)))
		}, 5},
		{"repeat a post", func(ctx context.Context) error { return post(group.WithKey(ctx, "1")) }, 7},
		{"read messages", func(ctx context.Context) error {
			_, err := b.Messages(ctx, alice, g.ID, 0, 10)
			return err
		}, 2},
	} {
		const calls = 5
		for i := range 2 * calls { // the first calls prepare statements
			if i == calls {
				ready.Store(0)
			}
			if err := c.do(t.Context()); err != nil {
				t.Fatalf("%s: %v", c.name, err)
			}
		}
		if n := ready.Load(); n > c.most*calls {
			t.Errorf("%s: %.1f round trips, want %d", c.name, float64(n)/calls, c.most)
		} else {
			t.Logf("%s: %.1f round trips", c.name, float64(n)/calls)
		}
	}
}

// countReady forwards connections to a PostgreSQL server, and counts the server's
// ReadyForQuery messages.
func countReady(t *testing.T, server string, ready *atomic.Int64) (addr string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var running sync.WaitGroup
	t.Cleanup(func() {
		_ = listener.Close()
		running.Wait()
	})
	running.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			to, err := (&net.Dialer{}).DialContext(context.WithoutCancel(t.Context()), "tcp", server)
			if err != nil {
				_ = client.Close()
				continue
			}
			running.Go(func() {
				_, _ = io.Copy(to, client)
				_ = to.Close()
			})
			running.Go(func() {
				defer func() { _ = client.Close() }()
				from := bufio.NewReader(to)
				for {
					head, err := from.Peek(5)
					if err != nil {
						return
					}
					if head[0] == 'Z' {
						ready.Add(1)
					}
					if _, err := io.CopyN(client, from, 1+int64(binary.BigEndian.Uint32(head[1:]))); err != nil {
						return
					}
				}
			})
		}
	})
	return listener.Addr().String()
}
