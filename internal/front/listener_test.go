package front_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/moim-live/moim/internal/front"
)

// within bounds what is waited for.
const within = 10 * time.Second

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	maxHeader = 16 << 10
	here      = "answered here"
	elsewhere = "answered by net/http"
	opening   = "GET /ws?a=b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n"
)

func says(what string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Path", r.URL.Path)
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, what)
	}
}

// start runs a listener before a net/http server, and returns its address.
func start(t *testing.T, handler http.Handler, timeout time.Duration) (*front.Listener, string) {
	t.Helper()
	return startIdle(t, handler, timeout, within)
}

func startIdle(t *testing.T, handler http.Handler, timeout, idle time.Duration) (*front.Listener, string) {
	t.Helper()
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := front.New(inner, front.Config{
		Handler: handler, Sockets: []string{"/socket.io/", "/ws"}, Calls: func(path string) bool { return strings.HasPrefix(path, "/calls/") },
		Timeout: timeout, Idle: idle, MaxHeader: maxHeader, Log: slog.New(slog.DiscardHandler),
	})
	server := &http.Server{Handler: says(elsewhere), ReadHeaderTimeout: timeout, MaxHeaderBytes: maxHeader}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if err := errors.Join(server.Shutdown(ctx), l.Stop(ctx)); err != nil {
			t.Errorf("stop: %v", err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) && !errors.Is(err, net.ErrClosed) {
			t.Errorf("serve: %v", err)
		}
	})
	return l, inner.Addr().String()
}

// client is a connection on which everything has a deadline.
type client struct {
	net.Conn
	*bufio.Reader
}

func dial(t *testing.T, addr string) *client {
	t.Helper()
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(within))
	return &client{Conn: conn, Reader: bufio.NewReader(conn)}
}

func (c *client) Read(data []byte) (int, error) { return c.Reader.Read(data) }

func (c *client) say(t *testing.T, text string) {
	t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
}

// answer reads a response and its body.
func (c *client) answer(t *testing.T) (*http.Response, string) {
	t.Helper()
	response, err := http.ReadResponse(c.Reader, nil)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil && len(body) == 0 { // net/http resets whom it refuses to read on from
		t.Fatal(err)
	}
	return response, string(body)
}

// ends waits until the other side has ended the connection.
func (c *client) ends(t *testing.T) {
	t.Helper()
	if rest, err := io.ReadAll(c); errors.Is(err, os.ErrDeadlineExceeded) || len(rest) > 0 {
		t.Fatalf("the connection does not end: %q, %v", rest, err)
	}
}

func TestWhoAnswers(t *testing.T) {
	t.Parallel()
	_, addr := start(t, says(here), within)
	header := func(lines ...string) string {
		return "GET /ws HTTP/1.1\r\n" + strings.Join(lines, "\r\n") + "\r\n\r\n"
	}
	large := func(n int) string { return "Cookie: " + strings.Repeat("c", n) }
	const host, websocket = "Host: x", "Upgrade: websocket"
	for name, test := range map[string]struct {
		request string
		want    string // the body, or the beginning of the status of net/http's own
	}{
		"a door":                 {opening, here},
		"the other door":         {"GET /socket.io/?EIO=4 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", here},
		"the case of names":      {header("hOST: x", "uPGRADE: WebSocket"), here},
		"a header of two reads":  {header(host, websocket, large(6000)), here},
		"nearly too large":       {header(host, websocket, large(maxHeader-200)), here},
		"another path":           {"GET /w HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", elsewhere},
		"a longer path":          {"GET /ws/ HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", elsewhere},
		"a path that is encoded": {"GET /w%73 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", elsewhere},
		"a whole URL":            {"GET http://x/ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", elsewhere},
		"no WebSocket":           {header(host), elsewhere},
		"another upgrade":        {header(host, "Upgrade: h2c"), elsewhere},
		"another method":         {"POST /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n", elsewhere},
		"a short method":         {"G / HTTP/1.1\r\nHost: x\r\n\r\n", elsewhere},
		"a body":                 {header(host, websocket, "Content-Length: 1") + "x", elsewhere},
		"chunks":                 {header(host, websocket, "Transfer-Encoding: chunked") + "0\r\n\r\n", elsewhere},
		"lines that end in LF":   {"GET /ws HTTP/1.1\nHost: x\nUpgrade: websocket\n\n", elsewhere},
		"HTTP/1.0":               {"GET /ws HTTP/1.0\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", elsewhere},
		"no host":                {header(websocket), "400"},
		"two hosts":              {header(host, "Host: y", websocket), "400"},
		"a wrong host":           {header("Host: x y", websocket), "400"},
		"a wrong name":           {header(host, websocket, "a b: c"), "400"},
		"a wrong value":          {header(host, websocket, "a: \x01"), "400"},
		"a call":                 {call("{}"), here},
		"of several lines":       {call("{\n}"), here},
		"that holds a header":    {call("a\r\n\r\nb"), here},
		"that says to be kept":   {call("{}", "connection: Keep-Alive"), here},
		"nearly too long":        {call(strings.Repeat("c", 3900)), here},
		"a call too long":        {call(strings.Repeat("c", 4100)), elsewhere},
		"of another path":        {strings.Replace(call("{}"), "calls", "other", 1), elsewhere},
		"that is the last":       {call("{}", "Connection: close"), elsewhere},
		"that waits":             {call("{}", "Expect: 200-ok"), "417"},
		"that upgrades":          {call("{}", websocket), elsewhere},
		"of chunks":              {"POST /calls/1 HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", elsewhere},
		"without a length":       {"POST /calls/1 HTTP/1.1\r\nHost: x\r\n\r\n", elsewhere},
		"of two lengths":         {call("{}", "Content-Length: 3"), "400"},
		"of no length":           {"POST /calls/1 HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\n", "400"},
		"of two words":           {strings.Replace(call("{}"), "/1 ", "/1 2 ", 1), "400"},
		"a door of two words":    {strings.Replace(opening, "a=b", "a b", 1), "400"},
		"of a wrong length":      {"POST /calls/1 HTTP/1.1\r\nHost: x\r\nContent-Length: +2\r\n\r\n{}", "400"},
		"a wrong URL":            {"GET /ws?\x01 HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n\r\n", "400"},
		"too large":              {header(host, websocket, large(3*maxHeader)), "431"},
	} {
		for how, write := range map[string]func(*testing.T, *client, string){"at once": at, "byte by byte": drip} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				c := dial(t, addr)
				write(t, c, test.request)
				response, body := c.answer(t)
				if body != test.want && !strings.HasPrefix(response.Status, test.want) {
					t.Errorf("%s: %s, want %s", response.Status, body, test.want)
				}
			})
		}
	}
}

// TestMoreThanARequest: a client that does not wait for the answer is
// net/http's.
func TestMoreThanARequest(t *testing.T) {
	t.Parallel()
	_, addr := start(t, says(here), within)
	for _, request := range []string{opening, call("{}")} {
		c := dial(t, addr)
		c.say(t, request+request)
		for range 2 {
			if _, body := c.answer(t); body != elsewhere {
				t.Error(body)
			}
		}
	}
}

func at(t *testing.T, c *client, request string) { c.say(t, request) }

// drip may be answered before it has sent all.
func drip(_ *testing.T, c *client, request string) {
	for i := range len(request) {
		if _, err := io.WriteString(c, request[i:i+1]); err != nil {
			return
		}
	}
}

// TestTheRestIsUntouched: what net/http answers it reads as it was sent, and
// the connection serves more than one request.
func TestTheRestIsUntouched(t *testing.T) {
	t.Parallel()
	_, addr := start(t, says(here), within)
	c := dial(t, addr)
	for i := range 3 {
		c.say(t, fmt.Sprintf("GET /path/%d HTTP/1.1\r\nHost: x\r\n\r\n", i))
		response, body := c.answer(t)
		if got := response.Header.Get("Path"); got != fmt.Sprintf("/path/%d", i) || body != elsewhere {
			t.Errorf("request %d: %s of %s", i, body, got)
		}
	}
	c.say(t, opening)
	if _, body := c.answer(t); body != elsewhere {
		t.Errorf("the connection has changed hands: %s", body)
	}
}

func TestRequest(t *testing.T) {
	t.Parallel()
	got := make(chan *http.Request, 1)
	_, addr := start(t, http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r }), within)
	c := dial(t, addr)
	c.say(t, opening)
	r := <-got
	want := fmt.Sprint("GET", "HTTP/1.1", "x", "/ws", "a=b", "/ws?a=b", c.LocalAddr(), "websocket", "")
	if have := fmt.Sprint(r.Method, r.Proto, r.Host, r.URL.Path, r.URL.RawQuery, r.RequestURI, r.RemoteAddr,
		r.Header.Get("Upgrade"), r.Header.Get("Host")); have != want {
		t.Errorf("have %s, want %s", have, want)
	}
	if response, _ := c.answer(t); response.StatusCode != http.StatusOK || response.ContentLength != 0 {
		t.Errorf("no answer is %s", response.Status)
	}
}

func TestRefusal(t *testing.T) {
	t.Parallel()
	_, addr := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "1")
		http.Error(w, "not now", http.StatusServiceUnavailable)
		answer := http.NewResponseController(w)
		if err := answer.Flush(); err != nil {
			t.Error(err)
		}
		if _, _, err := answer.Hijack(); err == nil {
			t.Error("an answered request was handed over")
		}
	}), within)
	c := dial(t, addr)
	c.say(t, opening)
	response, body := c.answer(t)
	if response.StatusCode != http.StatusServiceUnavailable || body != "not now\n" || !response.Close || response.Header.Get("Retry-After") != "1" {
		t.Errorf("%v: %s", response, body)
	}
	if _, err := http.ParseTime(response.Header.Get("Date")); err != nil {
		t.Errorf("the date: %v", err)
	}
	c.ends(t)
}

// TestHandedOver: the connection has no deadline any more, and outlives the
// listener.
func TestHandedOver(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	l, addr := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			t.Error(err)
			return
		}
		if _, err := w.Write([]byte("lost")); !errors.Is(err, http.ErrHijacked) {
			t.Errorf("writing to who does not have it any more: %v", err)
		}
		time.AfterFunc(2*timeout, func() {
			defer func() { _ = conn.Close() }()
			_, _ = rw.WriteString("hello\n")
			_ = rw.Flush()
			line, _ := rw.ReadString('\n')
			_, _ = io.WriteString(conn, line)
		})
	}), timeout)
	c := dial(t, addr)
	c.say(t, opening)
	for range 2 {
		line, err := c.ReadString('\n')
		if err != nil || line != "hello\n" {
			t.Fatalf("%q, %v", line, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		c.say(t, line)
	}
}

func TestPanic(t *testing.T) {
	t.Parallel()
	_, addr := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("on purpose") }), within)
	for range 2 {
		c := dial(t, addr)
		c.say(t, opening)
		c.ends(t)
	}
}

// TestSilence: whoever does not finish his header in time is cut off.
func TestSilence(t *testing.T) {
	t.Parallel()
	_, addr := start(t, says(here), 100*time.Millisecond)
	for _, begin := range []string{"", "G", "GET /ws", "GET /ws HTTP/1.1\r\nHost: x\r\n", "POST / HTTP/1.1\r\n"} {
		c := dial(t, addr)
		c.say(t, begin)
		c.ends(t)
	}
}

// failing is a listener whose first Accepts fail.
type failing struct {
	net.Listener
	errs []error
}

func (f *failing) Accept() (net.Conn, error) {
	if len(f.errs) > 0 {
		err := f.errs[0]
		f.errs = f.errs[1:]
		return nil, err
	}
	return f.Listener.Accept()
}

// TestAcceptFails: whoever serves hears of it, and may go on; who reads the log
// does, too, but not each time.
func TestAcceptFails(t *testing.T) {
	t.Parallel()
	inner, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	failure := errors.New("on purpose")
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(&logged, nil))
	l := front.New(&failing{inner, []error{failure, failure}}, front.Config{Timeout: within, MaxHeader: maxHeader, Log: log})
	defer func() {
		if err := l.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	}()
	for range 2 {
		if _, err := l.Accept(); !errors.Is(err, failure) {
			t.Errorf("accept: %v", err)
		}
	}
	if n := strings.Count(logged.String(), "WARN"); n != 1 {
		t.Errorf("%d warnings: %s", n, &logged)
	}
	dial(t, inner.Addr().String()).say(t, "PUT ")
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Close(); err != nil {
		t.Error(err)
	}
}

func TestClose(t *testing.T) {
	t.Parallel()
	answering, finish := make(chan struct{}), make(chan struct{})
	l, addr := start(t, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answering <- struct{}{}
		<-finish
		_, _ = io.WriteString(w, here)
	}), time.Hour)
	silent, busy, calling := dial(t, addr), dial(t, addr), dial(t, addr)
	silent.say(t, "GET /ws")
	busy.say(t, opening)
	calling.say(t, call("{}"))
	<-answering
	<-answering
	for range 2 {
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	silent.ends(t)
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("accept: %v", err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- l.Stop(t.Context()) }()
	select {
	case err := <-stopped:
		t.Errorf("it stopped before the answer: %v", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(finish)
	for _, c := range []*client{busy, calling} {
		if response, body := c.answer(t); body != here || !response.Close {
			t.Errorf("%q, the last: %t", body, response.Close)
		}
		c.ends(t)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

// TestStopCuts: who cannot be answered in time is cut off, in the middle of his
// call or of its answer.
func TestStopCuts(t *testing.T) {
	t.Parallel()
	answering, finish := make(chan struct{}), make(chan struct{})
	l, addr := start(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(answering)
		<-finish
	}), time.Hour)
	calling, answered := dial(t, addr), dial(t, addr)
	calling.say(t, strings.TrimSuffix(call("{}"), "}"))
	answered.say(t, call("{}"))
	<-answering
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := l.Stop(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("it stopped before the answer: %v", err)
	}
	calling.ends(t)
	answered.ends(t)
	close(finish)
}
