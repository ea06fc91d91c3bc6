package engine

import (
	"fmt"
	"io"
	"log/slog"
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

// paper is a transport that notes what is written, and when.
type paper struct {
	begin time.Time
	stuck bool          // writes wait for block
	block chan struct{} // made in the bubble
	fail  error

	mu     sync.Mutex
	writes []string
	cuts   atomic.Int32
	busy   atomic.Bool
}

func (p *paper) write(frames []*Frame, deadline time.Time) (int, error) {
	p.busy.Store(true)
	defer p.busy.Store(false)
	var texts []string
	for _, f := range frames {
		if f.wire[0] == 0x88 {
			texts = append(texts, fmt.Sprintf("close %s", f.Payload()[min(2, len(f.Payload())):]))
			continue
		}
		texts = append(texts, string(f.Payload()))
	}
	p.mu.Lock()
	p.writes = append(p.writes, fmt.Sprintf("%v %s", time.Since(p.begin), strings.Join(texts, ",")))
	p.mu.Unlock()
	if p.stuck {
		select {
		case _, ok := <-p.block:
			if !ok {
				time.Sleep(time.Millisecond)
				return 0, net.ErrClosed
			}
		case <-time.After(time.Until(deadline)):
			return 0, os.ErrDeadlineExceeded
		}
	}
	return 1, p.fail
}

func (*paper) linger(time.Duration) {}

func (p *paper) cut() {
	if p.cuts.Add(1) == 1 {
		close(p.block)
	}
}

// onPaper opens a plain connection that writes on paper, in a bubble of
// synctest's, and returns why it ended.
func onPaper(t *testing.T, cfg Config, p *paper, test func(*Conn)) (reason Reason) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := New(cfg, nil, slog.New(slog.DiscardHandler))
		c := &Conn{engine: e, protocol: Plain}
		r := &recorder{conn: c, messages: make(chan string), closed: make(chan Reason, 1)}
		c.receiver = r
		if err := e.add(c); err != nil {
			t.Fatal(err)
		}
		p.begin, p.block = time.Now(), make(chan struct{})
		c.opened(p)
		test(c)
		c.ended()
		if p.busy.Load() {
			t.Error("it ended during a write")
		}
		reason = <-r.closed
	})
	return reason
}

func (p *paper) want(t *testing.T, writes ...string) {
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

func TestGather(t *testing.T) {
	t.Parallel()
	var p paper
	onPaper(t, Config{Gather: 5 * time.Millisecond}, &p, func(c *Conn) {
		c.Send(text("a")) // at once: it was quiet
		synctest.Wait()
		c.Send(text("b"))
		time.Sleep(2 * time.Millisecond)
		c.Send(text("c"))
		time.Sleep(2 * time.Millisecond)
		synctest.Wait()
		p.want(t, "0s a")
		time.Sleep(time.Millisecond)
		synctest.Wait()
		p.want(t, "0s a", "5ms b,c")
		time.Sleep(4 * time.Millisecond)
		c.Send(text("d")) // the second window is not over
		time.Sleep(100 * time.Millisecond)
		c.Send(text("e")) // it has been quiet since
		synctest.Wait()
		c.Send(text("f"))
		c.Close(Expired) // waits for no window
		synctest.Wait()
		c.Send(text("too late"))
		synctest.Wait()
	})
	p.want(t, "0s a", "5ms b,c", "10ms d", "109ms e", "109ms f,close token expired")
}

// TestBurstDoesNotWait: gathering makes no slow consumer of one who reads.
func TestBurstDoesNotWait(t *testing.T) {
	t.Parallel()
	var p paper
	onPaper(t, Config{MaxBacklog: 100}, &p, func(c *Conn) {
		for i := range 10 {
			c.Send(text(fmt.Sprint(i, strings.Repeat(" ", 27)))) // 30 bytes on the wire
			synctest.Wait()
		}
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
		if !c.alive() {
			t.Errorf("closed for %v", c.reason)
		}
	})
	if n := len(p.writes); n != 6 {
		t.Errorf("10 frames took %d writes: %q", n, p.writes)
	}
}

func TestBacklog(t *testing.T) {
	t.Parallel()
	p := paper{stuck: true}
	reason := onPaper(t, Config{MaxBacklog: 100}, &p, func(c *Conn) {
		c.Send(text(strings.Repeat("x", 200))) // a frame of its own may be larger
		synctest.Wait()
		if !c.alive() {
			t.Fatal("closed for a single frame")
		}
		c.Send(text("b"))
		if c.alive() {
			t.Fatal("more than the backlog is queued")
		}
		if n := c.engine.Stats().SlowConsumers; n != 1 {
			t.Errorf("%d slow consumers are counted", n)
		}
		p.block <- struct{}{}
		synctest.Wait()
	})
	p.want(t, "0s "+strings.Repeat("x", 200), "0s close slow consumer")
	want(t, reason, SlowConsumer)
}

// TestSlowConsumerHearsWhy, after what was being written and without the rest.
func TestSlowConsumerHearsWhy(t *testing.T) {
	t.Parallel()
	p := paper{stuck: true}
	reason := onPaper(t, Config{MaxBacklog: 10}, &p, func(c *Conn) {
		c.Send(text("a"))
		synctest.Wait()
		c.Send(text("b"))
		c.Send(text("c"))
		c.Send(text("d"))
		c.Send(text("e"))
		p.block <- struct{}{}
		synctest.Wait()
	})
	p.want(t, "0s a", "0s close slow consumer")
	want(t, reason, SlowConsumer)
}

// TestClientsGoodbye ends the queue, too.
func TestClientsGoodbye(t *testing.T) {
	t.Parallel()
	p := paper{stuck: true}
	reason := onPaper(t, Config{}, &p, func(c *Conn) {
		c.Send(text("a"))
		synctest.Wait()
		c.Send(text("b"))
		go func() {
			p.block <- struct{}{}
			p.block <- struct{}{}
		}()
		c.closedByClient(1000)
		p.want(t, "0s a", "0s close ")
		c.Send(text("c"))
	})
	p.want(t, "0s a", "0s close ")
	want(t, reason, TransportClose)
}

func TestStuckGoodbyeIsCut(t *testing.T) {
	t.Parallel()
	p := paper{stuck: true}
	reason := onPaper(t, Config{}, &p, func(c *Conn) {
		c.Send(text("a"))
		synctest.Wait()
		c.Close(Drained)
		time.Sleep(closeTimeout - time.Millisecond)
		synctest.Wait()
		if p.cuts.Load() != 0 {
			t.Error("cut early")
		}
		time.Sleep(time.Millisecond)
		synctest.Wait()
		if p.cuts.Load() == 0 {
			t.Error("not cut")
		}
	})
	p.want(t, "0s a")
	want(t, reason, Drained)
}

// TestStuckWrite is ended by the write's deadline.
func TestStuckWrite(t *testing.T) {
	t.Parallel()
	p := paper{stuck: true}
	reason := onPaper(t, Config{PingTimeout: time.Second}, &p, func(c *Conn) {
		c.Send(text("a"))
		time.Sleep(time.Second)
		synctest.Wait()
	})
	p.want(t, "0s a")
	want(t, reason, SlowConsumer)
}

// TestNothingFollowsAFailedWrite: a part of a frame may be out.
func TestNothingFollowsAFailedWrite(t *testing.T) {
	t.Parallel()
	p := paper{fail: io.ErrClosedPipe}
	reason := onPaper(t, Config{}, &p, func(c *Conn) {
		c.Send(text("a"))
		synctest.Wait()
		c.Send(text("b"))
		c.Close(Drained)
		time.Sleep(time.Minute)
	})
	p.want(t, "0s a")
	want(t, reason, TransportError)
	if p.cuts.Load() == 0 {
		t.Error("not cut")
	}
}

// TestEndAwaitsTheFlush, whatever it is doing.
func TestEndAwaitsTheFlush(t *testing.T) {
	t.Parallel()
	t.Run("writing", func(t *testing.T) {
		t.Parallel()
		p := paper{stuck: true}
		want(t, onPaper(t, Config{}, &p, func(c *Conn) {
			c.Send(text("a"))
			synctest.Wait()
		}), TransportError)
		p.want(t, "0s a")
	})
	t.Run("gathering", func(t *testing.T) {
		t.Parallel()
		var p paper
		want(t, onPaper(t, Config{}, &p, func(c *Conn) {
			c.Send(text("a"))
			synctest.Wait()
			c.Send(text("b"))
		}), TransportError)
		p.want(t, "0s a")
	})
}
