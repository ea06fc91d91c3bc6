package front

import (
	"bufio"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	aCall   = "POST /calls/1 HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
	aSocket = "GET /ws?a=b HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
)

// deaf is a listener without clients.
type deaf struct{ net.Listener }

func (deaf) Close() error { return nil }

func newListener() *Listener {
	return New(deaf{}, Config{
		Sockets: []string{"/ws"}, Calls: func(path string) bool { return strings.HasPrefix(path, "/calls/") },
		Timeout: 10 * time.Second, MaxHeader: 32 << 10, Log: slog.New(slog.DiscardHandler),
	})
}

// TestClosedMeanwhile: a call that has begun to arrive when the listener is
// closed is answered; a header that has not arrived is not waited for.
func TestClosedMeanwhile(t *testing.T) {
	t.Parallel()
	for begun, want := range map[string]bool{aCall[:len(aCall)-1]: true, aCall[:20]: false, aSocket[:20]: false} {
		l := newListener()
		conn, peer := net.Pipe()
		reading := make(chan struct{}, 3)
		answered := make(chan bool, 1)
		go func() {
			_, r, err := l.next(&client{Conn: watched{conn, reading}}, make([]byte, requestBytes), l.cfg.Timeout)
			answered <- r != nil && err == nil
		}()
		if _, err := io.WriteString(peer, begun); err != nil {
			t.Fatal(err)
		}
		<-reading
		<-reading // for what has not been sent
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		_ = peer.SetWriteDeadline(time.Now().Add(time.Second)) // perhaps nobody reads
		if _, err := io.WriteString(peer, aCall[len(aCall)-1:]); want && err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if got := <-answered; got != want {
			t.Errorf("%q is answered: %t", begun, got)
		}
		_, _ = conn.Close(), peer.Close()
	}
}

// watched tells of each Read before it begins.
type watched struct {
	net.Conn
	reading chan<- struct{}
}

func (w watched) Read(data []byte) (int, error) {
	w.reading <- struct{}{}
	return w.Conn.Read(data)
}

// said is a connection on which one thing is said.
type said struct {
	net.Conn
	io.Reader
}

func (s said) Read(data []byte) (int, error)   { return s.Reader.Read(data) }
func (s said) SetReadDeadline(time.Time) error { return nil }

// mutations are what requests that go wrong have too much.
var mutations = []string{
	" ", "\t", "\r", "\n", "\r\n", "\r\n\r\n", ":", ",", "0", "1", "+", "\x00", "\x7f", "\xff", "%", "%2F", "%0a", "?", "#", "/", ";", "[::1]", "@",
	"http://y", "HTTP/1.1", "HTTP/1.0", "Content-Length: 2\r\n", "Content-Length:\r\n", "Host:\r\n", "Transfer-Encoding: chunked\r\n",
	"transfer-encoding : chunked\r\n", " folded\r\n", "Connection: close\r\n", "Connection: keep-alive\r\n", "Expect: 100-continue\r\n",
	"Upgrade: websocket\r\n", "Trailer: a\r\n", "TE: trailers\r\n", "\u00e9",
}

// mutate changes a request in up to three places.
func mutate(random *rand.Rand, request string) string {
	for range 1 + random.IntN(3) {
		at := random.IntN(len(request) + 1)
		if lines := strings.SplitAfter(request, "\n"); random.IntN(3) == 0 { // at the beginning of a line
			at = len(strings.Join(lines[:random.IntN(len(lines))], ""))
		}
		if more := mutations[random.IntN(len(mutations))]; random.IntN(4) > 0 {
			request = request[:at] + more + request[at:]
		} else if at < len(request) {
			request = request[:at] + request[at+1:]
		}
	}
	return request
}

// TestAsNetHTTP: what the listener takes for a request net/http takes for the
// same.
func TestAsNetHTTP(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	random := rand.New(rand.NewPCG(seed, 0))
	l, taken := newListener(), 0
	for range 20_000 {
		request := mutate(random, []string{aCall, aSocket}[random.IntN(2)])
		_, got, err := l.next(&client{Conn: said{Reader: strings.NewReader(request)}}, make([]byte, requestBytes), l.cfg.Timeout)
		if err != nil || got == nil {
			continue
		}
		taken++
		if problem := differs(got, request); problem != "" {
			t.Errorf("seed %d: %s: %q", seed, problem, request)
		}
	}
	if taken < 100 {
		t.Errorf("seed %d: only %d were answered", seed, taken)
	}
}

// differs says how a request differs from what net/http reads.
func differs(got *http.Request, request string) string {
	reader := bufio.NewReader(strings.NewReader(request))
	want, err := http.ReadRequest(reader)
	if err != nil {
		return err.Error()
	}
	gotBody, _ := io.ReadAll(got.Body)
	wantBody, err := io.ReadAll(want.Body)
	rest, _ := io.ReadAll(reader)
	switch {
	case err != nil:
		return err.Error()
	case !slices.Equal(gotBody, wantBody), got.ContentLength != want.ContentLength:
		return "another body"
	case len(rest) > 0:
		return "more than a request"
	case got.Method != want.Method, got.Host != want.Host, got.RequestURI != want.RequestURI, !reflect.DeepEqual(got.URL, want.URL):
		return "another target"
	case isCall(got) && want.Close:
		return "the last of its connection"
	case !reflect.DeepEqual(got.Header, want.Header):
		return "another header"
	}
	return ""
}
