package front_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"
)

// call is a short call with a body, and whatever else its header says.
func call(body string, lines ...string) string {
	lines = append([]string{"POST /calls/1 HTTP/1.1", "Host: x", fmt.Sprint("Content-Length: ", len(body))}, lines...)
	return strings.Join(lines, "\r\n") + "\r\n\r\n" + body
}

// TestCalls: a connection serves one call after the other, each with its own
// header and body, until something else comes.
func TestCalls(t *testing.T) {
	t.Parallel()
	var last *http.Request
	_, addr := start(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if last != nil && (last == r || last.RemoteAddr != r.RemoteAddr) {
			t.Error("not a request of its own, or of another client")
		}
		last = r
		body, err := io.ReadAll(r.Body)
		if err != nil || int64(len(body)) != r.ContentLength {
			t.Errorf("%d bytes of %d: %v", len(body), r.ContentLength, err)
		}
		if err := http.NewResponseController(w).SetReadDeadline(time.Now()); err != nil {
			t.Error(err)
		}
		if n := w.Header().Get("Before"); n != "" {
			t.Errorf("a header of the answer before: %q", n)
		}
		w.Header().Set("Before", "x\r\ny: z")
		w.Header().Set("Content-Length", "99")
		if len(body) == 0 {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		_, _ = fmt.Fprint(w, r.Method, r.URL.Path, r.Host, r.Header.Get("Authorization"), string(body))
	}), within)
	c := dial(t, addr)
	for i := range 6 {
		token, body := fmt.Sprint("token", i/2), strings.Repeat("b", i%3)
		c.say(t, call(body, "Authorization: "+token))
		response, got := c.answer(t)
		want, status := "POST/calls/1x"+token+body, http.StatusOK
		if body == "" {
			want, status = "", http.StatusNoContent
		}
		if got != want || response.StatusCode != status || response.Close || response.Header.Get("Y") != "" {
			t.Errorf("%v: %q, want %q", response, got, want)
		}
		if _, err := http.ParseTime(response.Header.Get("Date")); err != nil {
			t.Errorf("the date: %v", err)
		}
	}
	c.say(t, "GET /path HTTP/1.1\r\nHost: x\r\n\r\n"+call("b"))
	for range 2 {
		if _, body := c.answer(t); body != elsewhere {
			t.Error(body)
		}
	}
}

// TestEmptyLines: old clients send one after what they post.
func TestEmptyLines(t *testing.T) {
	t.Parallel()
	_, addr := start(t, says(here), within)
	c := dial(t, addr)
	for _, between := range []string{"", "\r\n", "\n"} {
		c.say(t, between)
		c.say(t, call("{}"))
		if response, body := c.answer(t); body != here {
			t.Errorf("after %q: %s", between, response.Status)
		}
	}
	c.say(t, "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if response, body := c.answer(t); body != elsewhere {
		t.Error(response.Status)
	}
}

// TestCallThenSocket: a connection on which calls were made may open a socket.
func TestCallThenSocket(t *testing.T) {
	t.Parallel()
	_, addr := start(t, says(here), within)
	c := dial(t, addr)
	for _, request := range []string{call("b"), opening} {
		c.say(t, request)
		if _, body := c.answer(t); body != here {
			t.Error(body)
		}
	}
	c.ends(t)
}

// TestIdle: a connection may be silent between calls for longer than a call may
// be under way, but not for ever.
func TestIdle(t *testing.T) {
	t.Parallel()
	const timeout = 200 * time.Millisecond
	for begun, idle := range map[string]time.Duration{"": time.Second, call("{}")[:20]: time.Hour} {
		_, addr := startIdle(t, says(here), timeout, idle)
		c := dial(t, addr)
		start := time.Now()
		c.say(t, call("{}"))
		c.answer(t)
		c.say(t, begun)
		c.ends(t)
		if took := time.Since(start); begun == "" && took < idle {
			t.Errorf("it has ended after %v", took)
		}
	}
}
