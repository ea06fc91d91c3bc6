//go:build linux

package load

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestNextAnswer(t *testing.T) {
	t.Parallel()
	const answer = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 3\r\nDate: now\r\n\r\n4ab"
	for i := range answer {
		if _, size, err := nextAnswer([]byte(answer[:i])); size != 0 || err != nil {
			t.Fatalf("%q: %d bytes, %v", answer[:i], size, err)
		}
	}
	if body, size, err := nextAnswer([]byte(answer + "HTTP")); string(body) != "4ab" || size != len(answer) || err != nil {
		t.Errorf("%q of %d bytes, %v", body, size, err)
	}
	for _, wrong := range []string{
		"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
		"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	} {
		if _, _, err := nextAnswer([]byte(wrong)); err == nil {
			t.Errorf("no error: %q", wrong)
		}
	}
}

// session is the server of one polling session.
type session struct {
	answers chan string // to GET requests
	mu      sync.Mutex
	posted  []string
	polls   int
	conns   map[string]bool // by the client's address
	release chan struct{}   // when it is closed, a POST request is answered; nil: at once
}

func (s *session) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.conns[r.RemoteAddr] = true
	s.mu.Unlock()
	answer := "ok"
	switch {
	case r.URL.Query().Get("sid") == "":
		answer = `0{"sid":"abc"}`
	case r.Method == http.MethodGet:
		s.mu.Lock()
		s.polls++
		s.mu.Unlock()
		select {
		case answer = <-s.answers:
		case <-r.Context().Done():
			return
		}
	default:
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.posted = append(s.posted, string(body))
		release := s.release
		s.mu.Unlock()
		if release != nil {
			<-release
		}
	}
	_, _ = io.WriteString(w, answer) // a short answer gets a Content-Length
}

func (s *session) heard() (posts string, conns int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.posted, " "), len(s.conns)
}

// TestPolls lets one client open a session, subscribe, answer a heartbeat and receive two
// messages in one payload. The client must use one connection for GET requests and one for POST
// requests, which the server closes while it is idle.
func TestPolls(t *testing.T) {
	t.Parallel()
	s := &session{answers: make(chan string, 10), conns: make(map[string]bool), release: make(chan struct{})}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.close)
	until := func(what string, done func() bool) {
		t.Helper()
		for deadline := time.Now().Add(time.Minute); !done(); {
			if err := l.turn(); err != nil {
				t.Fatal(err)
			}
			if time.Now().After(deadline) {
				posts, conns := s.heard()
				t.Fatalf("%s: %+v, posted %q, %d connections", what, l.counts(), posts, conns)
			}
		}
	}
	posted := func(want string) func() bool {
		return func() bool {
			posts, _ := s.heard()
			return posts == want
		}
	}
	l.heartbeats = map[string]string{"2": "3"}
	steps := []Step{{Await: "0{", Say: "40"}, {Await: "40{", Say: "one"}, {Say: "two"}, {Await: "430["}}
	plan := EngineIO(strings.TrimPrefix(server.URL, "http://"), true, steps...)
	if err := l.dial(&plan); err != nil {
		t.Fatal(err)
	}
	c := l.conns[0]
	until("it connects", posted("40"))
	s.answers <- "40{}" // messages that arrive during a POST request are sent together
	until("it subscribes", func() bool { return len(c.polling.unsent) == 2 })
	close(s.release)
	until("it posts", posted("40 one\x1etwo"))
	s.answers <- "430[{}]"
	until("it is ready", func() bool { return l.readyCount == 1 })

	l.opened = true
	s.answers <- fmt.Sprintf("42%s\x1e42%s", Payload(l.clock.Now()), Payload(l.clock.Now()))
	until("messages arrive", func() bool { return l.counts().Messages == 2 })
	until("its last POST request is answered", func() bool { return !c.polling.poster.waits })
	if _, conns := s.heard(); conns != 2 {
		t.Errorf("%d connections", conns)
	}
	until("it polls again", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return s.polls == 4
	})
	until("the server closes the idle connection", func() bool {
		server.Config.SetKeepAlivesEnabled(false) // closes idle connections now
		server.Config.SetKeepAlivesEnabled(true)
		return c.polling.poster == nil
	})
	s.answers <- "2"
	until("it answers a heartbeat", posted("40 one\x1etwo 3"))
	if _, conns := s.heard(); conns != 3 || l.lost > 0 {
		t.Errorf("%d connections, %d lost", conns, l.lost)
	}
	s.answers <- "1"
	until("the session ends", func() bool { return l.lost == 1 && c.phase == closed })
}

// TestTakesAnswersWithoutAllocating checks that handling an answer allocates no memory, even if
// it arrives in two parts. The client must poll again only after the whole answer.
func TestTakesAnswersWithoutAllocating(t *testing.T) {
	l := loop{}
	fd, server := connected(t)
	requests := make(chan int)
	go func() {
		sent, _ := io.Copy(io.Discard, server)
		requests <- int(sent)
	}()
	c := &conn{fd: fd, phase: ready, session: &Session{}, polling: &polling{get: []byte("GET")}, rest: make([]byte, 0, 1<<10)}
	answer := fmt.Appendf(nil, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n42%s", PayloadSize+2, Payload(1))
	if n := testing.AllocsPerRun(100, func() {
		for _, part := range [][]byte{answer, answer[:50], answer[50:]} {
			if err := l.arrived(c, part, 2); err != nil {
				t.Fatal(err)
			}
		}
	}); n > 0 {
		t.Errorf("%v allocations for two answers", n)
	}
	defer c.close()
	if err := unix.Shutdown(fd, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	if sent := <-requests; l.latencies.total != 2*101 || sent != 2*101*len("GET") {
		t.Errorf("%d messages were counted, %d bytes sent", l.latencies.total, sent)
	}
}
