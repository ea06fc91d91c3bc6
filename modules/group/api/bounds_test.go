package api_test

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/web"
)

// answerBytes is the maximum size of an answer without its items.
const answerBytes = 1 << 10

// newLargeEndpoint returns an endpoint with 60 groups of alice and their attributes of 16
// KiB. The last group has 40 messages of 32 KiB.
func newLargeEndpoint(t *testing.T) (d *endpoint, last group.Group) {
	t.Helper()
	d = newEndpoint(t)
	for range 60 {
		last = d.NewGroup(t, `{"name":"g","visibility":"public","attributes":{"x":"`+strings.Repeat("x", 16_000)+`"}}`)
	}
	for range 40 {
		posted := d.do(t, alice, "POST", "/groups/"+last.ID+"/messages", `{"data":"`+strings.Repeat("x", 32_000)+`"}`)
		if posted.status != http.StatusCreated {
			t.Fatal(posted)
		}
	}
	return d, last
}

// TestHTTPPagesOfLargeItems checks that every page has at most 256 KiB, and that the pages
// have all items.
func TestHTTPPagesOfLargeItems(t *testing.T) {
	t.Parallel()
	d, g := newLargeEndpoint(t)
	for _, c := range []struct {
		path, more string
		want       int
	}{
		{"/groups?limit=200", "cursor", 60},
		{"/me/groups?limit=200", "cursor", 60},
		{"/groups/" + g.ID + "/events?limit=200", "since", 45},
	} {
		items, pages, path := 0, 0, c.path
		for path != "" {
			got := d.do(t, alice, "GET", path, "")
			if len(got.body) > group.ListBytes+answerBytes {
				t.Errorf("%s answers %d bytes", path, len(got.body))
			}
			page := servicetest.Decode[struct {
				web.Page[any]
				Version int64 `json:"version"`
			}](t, got.body)
			items, pages, path = items+len(page.Items), pages+1, ""
			switch {
			case c.more == "cursor" && page.NextCursor != "":
				path = c.path + "&cursor=" + page.NextCursor
			case c.more == "since" && len(page.Items) > 0:
				path = c.path + "&since=" + fmt.Sprint(page.Version)
			}
		}
		if items != c.want || pages < c.want/17 {
			t.Errorf("%s: %d items in %d pages, want %d", c.path, items, pages, c.want)
		}
	}
}

// TestPresencePages checks that presence is listed in ordered pages, however large the
// states are.
func TestPresencePages(t *testing.T) {
	t.Parallel()
	var there servicetest.Crowd
	for i, status := range []string{group.StatusOnline, group.StatusReconnecting, group.StatusOffline} {
		for n := range 100 {
			p := group.Present{UserID: fmt.Sprintf("user-%d", 300-100*i+n), Status: status}
			if status != group.StatusOffline {
				p.State = []byte(`{"x":"` + strings.Repeat("x", 4_000) + `"}`)
			}
			there = append(there, p)
		}
	}
	d := newEndpoint(t, there)
	g := d.NewGroup(t, `{"name":"g"}`)
	for _, limit := range []int{1, 50, 200} {
		var got []string
		for cursor, more := "", true; more; {
			answered := d.do(t, alice, "GET", fmt.Sprintf("/groups/%s/presence?limit=%d&cursor=%s", g.ID, limit, cursor), "")
			page := servicetest.Decode[web.Page[group.Present]](t, answered.body)
			if len(answered.body) > group.ListBytes+answerBytes || len(page.Items) > limit || len(page.Items) == 0 {
				t.Fatalf("limit %d: a page of %d items, %d bytes", limit, len(page.Items), len(answered.body))
			}
			for _, p := range page.Items {
				got = append(got, p.UserID)
			}
			cursor, more = page.NextCursor, page.NextCursor != ""
		}
		var want []string
		for _, p := range there {
			want = append(want, p.UserID)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("limit %d: %s", limit, diff)
		}
	}
	if sum := d.Summary(t.Context(), g.ID); len(sum.Items) != 8 || sum.Online != 100 {
		t.Errorf("a summary lists %d of %d users", len(sum.Items), sum.Online)
	}
}

// TestUnreadAnswers checks that an answer that the client does not read takes the memory of
// at most one page.
func TestUnreadAnswers(t *testing.T) { //nolint:paralleltest // it measures the memory of the process
	const unread, each = 40, 700 << 10
	d, _ := newLargeEndpoint(t)
	who := alice
	who.Expires = time.Now().Add(time.Minute)
	token, err := auth.Mint(secret, who)
	if err != nil {
		t.Fatal(err)
	}
	arrived := make(chan struct{}, unread)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		d.handler.ServeHTTP(noticed{w, arrived}, r)
	}))
	server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		if tcp, is := c.(*net.TCPConn); is {
			_ = tcp.SetWriteBuffer(4 << 10) // so that the kernel buffers only a small part of an answer
		}
		return ctx
	}
	server.Start()
	defer server.Close()
	at, _ := server.Listener.Addr().(*net.TCPAddr)
	before := heap()
	for range unread {
		conn, err := net.DialTCP("tcp", nil, at)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conn.Close() }()
		_ = conn.SetReadBuffer(4 << 10)
		if _, err := io.WriteString(conn, "GET /v1/me/groups?limit=200 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+token+"\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
	}
	for range unread {
		select {
		case <-arrived:
		case <-time.After(time.Minute):
			t.Fatal("an answer is missing")
		}
	}
	if used := heap() - before; used > unread*each {
		t.Errorf("%d unread answers take %d KiB each, want %d", unread, used/unread>>10, each>>10)
	}
}

// noticed sends to arrived when an answer begins to be written.
type noticed struct {
	http.ResponseWriter
	arrived chan<- struct{}
}

func (n noticed) Write(data []byte) (int, error) {
	n.arrived <- struct{}{}
	return n.ResponseWriter.Write(data)
}

// heap returns the number of bytes in use on the heap.
func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
