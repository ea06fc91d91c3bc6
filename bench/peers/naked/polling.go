//go:build linux

package naked

import (
	"bytes"
	"fmt"
	"net/http"
	"strconv"
)

// queued is how many messages wait for a poller's next request. It drops others.
const queued = 1024

// poller is a member that uses long polling. net/http serves its requests: this
// is what every server that uses net/http costs at least.
type poller struct {
	messages chan []byte
}

// poll answers a request with the messages that wait for it, or with the next
// one. Without a session's id it opens a session.
func (s *server) poll(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	if q.Get("sid") == "" {
		answer(w, fmt.Appendf(nil, `0{"sid":"%d"}`, s.openPolling(q.Get("room"))))
		return
	}
	p := s.poller(q.Get("sid"))
	if p == nil {
		http.NotFound(w, r)
		return
	}
	select {
	case first := <-p.messages:
		messages := [][]byte{first}
		for range len(p.messages) { // nobody else takes them
			messages = append(messages, <-p.messages)
		}
		answer(w, bytes.Join(messages, []byte{'\x1e'}))
	case <-r.Context().Done():
	}
}

func (s *server) openPolling(name string) (sid int) {
	in, _ := s.room(name)
	p := &poller{messages: make(chan []byte, queued)}
	in.mu.Lock()
	in.pollers = append(in.pollers, p)
	in.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.pollers = append(s.pollers, p)
	return len(s.pollers) - 1
}

// poller returns nil for an unknown session.
func (s *server) poller(sid string) *poller {
	s.mu.Lock()
	defer s.mu.Unlock()
	if i, err := strconv.Atoi(sid); err == nil && i >= 0 && i < len(s.pollers) {
		return s.pollers[i]
	}
	return nil
}

func (p *poller) send(message []byte) {
	select {
	case p.messages <- message:
	default:
	}
}

func answer(w http.ResponseWriter, payload []byte) {
	w.Header().Set("Content-Type", "text/plain; charset=UTF-8")
	w.Header().Set("Content-Length", strconv.Itoa(len(payload)))
	_, _ = w.Write(payload)
}
