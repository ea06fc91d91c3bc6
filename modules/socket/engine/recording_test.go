package engine

import (
	"fmt"
	"net"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// recordingTransport is a transport that records the written bytes and their time.
type recordingTransport struct {
	begin time.Time
	stuck bool          // writes wait for block
	full  int           // each write accepts only this many bytes; 0: all
	block chan struct{} // made inside the synctest bubble
	fail  error
	held  func() // called during a write; nil: none

	mu     sync.Mutex
	begun  []byte // the beginning of an incomplete frame
	writes []string
	cuts   atomic.Int32
	busy   atomic.Bool
}

func (p *recordingTransport) try(data []byte) (int, error) {
	if p.stuck {
		return 0, nil
	}
	if p.full > 0 && len(data) > p.full {
		p.begun = append(p.begun, data[:p.full]...)
		return p.full, nil
	}
	p.note(data)
	return len(data), p.fail
}

func (p *recordingTransport) write(b *batch, _ []byte, deadline time.Time) error {
	p.busy.Store(true)
	defer p.busy.Store(false)
	var data []byte
	for b.size > 0 {
		chunk := b.chunk(nil)
		data = append(data, chunk...)
		b.advance(len(chunk))
	}
	p.note(append(p.begun, data...))
	p.begun = nil
	select {
	case _, ok := <-p.block:
		if !ok {
			time.Sleep(time.Millisecond)
			return net.ErrClosed
		}
	case <-time.After(time.Until(deadline)):
		return os.ErrDeadlineExceeded
	}
	return p.fail
}

// note records whole frames below 126 bytes, or one larger frame.
func (p *recordingTransport) note(data []byte) {
	var texts []string
	for len(data) > 0 {
		size := int(data[1])
		payload, rest := data[min(4, len(data)):], []byte(nil)
		if size < 126 {
			payload, rest = data[2:2+size], data[2+size:]
		}
		if data[0] == 0x88 {
			payload = append([]byte("close "), payload[min(2, size):]...)
		}
		texts = append(texts, string(payload))
		data = rest
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes = append(p.writes, fmt.Sprintf("%v %s", time.Since(p.begin), strings.Join(texts, ",")))
}

func (*recordingTransport) linger(time.Duration) {}

func (*recordingTransport) close() {}

func (p *recordingTransport) pause(bool) {
	if p.held != nil {
		p.held()
	}
}

func (*recordingTransport) setConn(*Conn) {}

func (p *recordingTransport) cut() {
	if p.cuts.Add(1) == 1 {
		close(p.block)
	}
}

// onRecorder opens a plain connection on a recording transport in a synctest bubble. It returns the
// reason for which the connection ended.
func onRecorder(t *testing.T, cfg Config, p *recordingTransport, test func(*Conn)) (reason Reason) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(cfg, nil)
		c := &Conn{engine: e, protocol: Plain}
		r := &recorder{conn: c, messages: make(chan string), closed: make(chan Reason, 1)}
		c.receiver = r
		if !e.add(c) {
			t.Fatal("the engine drains")
		}
		p.begin, p.block = time.Now(), make(chan struct{})
		c.opened(p)
		test(c)
		c.release()
		if p.busy.Load() {
			t.Error("it ended during a write")
		}
		reason = <-r.closed
	})
	return reason
}

func (p *recordingTransport) want(t *testing.T, writes ...string) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	if diff := cmp.Diff(writes, p.writes); diff != "" {
		t.Errorf("writes: %s", diff)
	}
}

func want(t *testing.T, got, want Reason) {
	t.Helper()
	if got != want {
		t.Errorf("closed for %q, want %q", got, want)
	}
}

func text(s string) *Frame { return Plain.Frame([]byte(s)) }
