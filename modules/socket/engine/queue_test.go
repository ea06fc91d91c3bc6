package engine

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestGather(t *testing.T) {
	t.Parallel()
	var p recordingTransport
	onRecorder(t, Config{Gather: 5 * time.Millisecond}, &p, func(c *Conn) {
		c.Send(text("a")) // sent at once, because the connection was idle
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
		c.Send(text("d")) // the second window is still open, so a third one follows
		time.Sleep(100 * time.Millisecond)
		c.Send(text("e")) // the connection was idle since then
		synctest.Wait()
		c.Send(text("f"))
		c.Close(Expired) // does not wait for the window
		synctest.Wait()
		c.Send(text("too late"))
		synctest.Wait()
	})
	p.want(t, "0s a", "5ms b,c", "14ms d", "109ms e", "109ms f,close token expired")
}

// TestSendAll checks that several frames are one direct write on an idle connection, and are
// gathered on a busy one.
func TestSendAll(t *testing.T) {
	t.Parallel()
	var p recordingTransport
	onRecorder(t, Config{Gather: 5 * time.Millisecond}, &p, func(c *Conn) {
		c.SendAll([]*Frame{text("a"), text("b")})
		synctest.Wait()
		p.want(t, "0s a,b")
		time.Sleep(time.Millisecond)
		c.Send(text("c"))
		c.SendAll([]*Frame{text("d"), text("e")}) // after c
		synctest.Wait()
		p.want(t, "0s a,b")
		time.Sleep(100 * time.Millisecond)
		c.SendAll(nil)
		c.SendAll([]*Frame{text("f")})
		c.Close(Expired)
		synctest.Wait()
		c.SendAll([]*Frame{text("too late")})
		synctest.Wait()
	})
	p.want(t, "0s a,b", "6ms c,d,e", "101ms f", "101ms close token expired")
}

// TestBurstDoesNotWait checks that gathering does not make a reading client a slow
// consumer.
func TestBurstDoesNotWait(t *testing.T) {
	t.Parallel()
	var p recordingTransport
	onRecorder(t, Config{MaxBacklog: 100}, &p, func(c *Conn) {
		for i := range 10 {
			c.Send(text(fmt.Sprint(i, strings.Repeat(" ", 27)))) // 30 bytes on the wire
			synctest.Wait()
		}
		c.SendAll(slices.Repeat([]*Frame{text(strings.Repeat(" ", 28))}, 10))
		synctest.Wait()
		time.Sleep(5 * time.Millisecond)
		synctest.Wait()
		if !c.isOpen() {
			t.Errorf("closed for %v", c.reason)
		}
	})
	if n := len(p.writes); n != 11 {
		t.Errorf("20 frames took %d writes: %q", n, p.writes)
	}
}

func TestBacklog(t *testing.T) {
	t.Parallel()
	p := recordingTransport{stuck: true}
	reason := onRecorder(t, Config{MaxBacklog: 100}, &p, func(c *Conn) {
		c.Send(text(strings.Repeat("x", 200))) // a single frame may be larger
		synctest.Wait()
		if !c.isOpen() {
			t.Fatal("closed for a single frame")
		}
		c.Send(text("b"))
		if c.isOpen() {
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

// TestLossyFrames checks that lossy frames neither fill the backlog nor close the
// connection, alone and between others.
func TestLossyFrames(t *testing.T) {
	t.Parallel()
	lossy := text(strings.Repeat("x", 100)).Lossy()
	for name, send := range map[string]func(*Conn, ...*Frame){
		"Send": func(c *Conn, frames ...*Frame) {
			for _, f := range frames {
				c.Send(f)
			}
		},
		"SendAll": func(c *Conn, frames ...*Frame) { c.SendAll(frames) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := recordingTransport{stuck: true}
			reason := onRecorder(t, Config{MaxBacklog: 800}, &p, func(c *Conn) {
				send(c, text("begin"))
				synctest.Wait()
				for range 100 {
					send(c, lossy, lossy)
				}
				if n := c.engine.Stats().Dropped; n != 199 { // an eighth of the backlog is reserved for them
					t.Errorf("%d frames were dropped", n)
				}
				must := text(strings.Repeat("m", 123))
				for range 6 {
					send(c, must, lossy)
				}
				if !c.isOpen() {
					t.Fatal("lossy frames fill the backlog")
				}
				send(c, must)
				if c.isOpen() {
					t.Error("more than the backlog is queued")
				}
				p.block <- struct{}{}
				synctest.Wait()
			})
			want(t, reason, SlowConsumer)
		})
	}
}

// TestPingsWithoutEnd sends pings and reads nothing. Only the last pong may stay queued next to
// other frames.
func TestPingsWithoutEnd(t *testing.T) {
	t.Parallel()
	p := recordingTransport{stuck: true}
	onRecorder(t, Config{MaxBacklog: 100}, &p, func(c *Conn) {
		c.Send(text("a"))
		synctest.Wait()
		for i := range 30 {
			c.pinged(fmt.Append(nil, i))
		}
		c.Send(text("b"))
		for i := range 30 {
			c.pinged(fmt.Append(nil, i+30))
		}
		if !c.isOpen() {
			t.Errorf("closed for %v", c.reason)
		}
		p.block <- struct{}{}
		synctest.Wait()
		time.Sleep(time.Second)
		p.block <- struct{}{}
		synctest.Wait()
	})
	p.want(t, "0s a", "5ms 29,b,59")
}

// TestFullNetwork accepts one part of a write at once and the rest later.
func TestFullNetwork(t *testing.T) {
	t.Parallel()
	p := recordingTransport{full: 9}
	onRecorder(t, Config{}, &p, func(c *Conn) {
		c.Send(text("0123456789")) // to an idle connection
		c.Send(text("a"))
		synctest.Wait()
		p.block <- struct{}{}
		time.Sleep(time.Second)
		c.Send(text("b"))
		c.Send(text("cccc")) // gathered
		c.Send(text("dddd"))
		time.Sleep(time.Second)
		p.block <- struct{}{}
		synctest.Wait()
	})
	p.want(t, "0s 0123456789", "5ms a", "1s b", "1.005s cccc,dddd")
}

// TestSlowConsumerHearsWhy checks that a slow consumer gets the current write and the close
// frame, but not the queued frames.
func TestSlowConsumerHearsWhy(t *testing.T) {
	t.Parallel()
	p := recordingTransport{stuck: true}
	reason := onRecorder(t, Config{MaxBacklog: 10}, &p, func(c *Conn) {
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

// TestClientsGoodbye checks that a close frame is answered after earlier frames.
func TestClientsGoodbye(t *testing.T) {
	t.Parallel()
	p := recordingTransport{stuck: true}
	reason := onRecorder(t, Config{}, &p, func(c *Conn) {
		c.Send(text("a"))
		synctest.Wait()
		c.Send(text("b"))
		go func() {
			p.block <- struct{}{}
			p.block <- struct{}{}
		}()
		c.peerClosed(1000)
		p.want(t, "0s a", "0s b,close ")
		c.Send(text("c"))
	})
	p.want(t, "0s a", "0s b,close ")
	want(t, reason, TransportClose)
}

func TestStuckGoodbyeIsCut(t *testing.T) {
	t.Parallel()
	p := recordingTransport{stuck: true}
	reason := onRecorder(t, Config{}, &p, func(c *Conn) {
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

// TestStuckWrite checks that the write deadline ends a blocked connection.
func TestStuckWrite(t *testing.T) {
	t.Parallel()
	p := recordingTransport{stuck: true}
	reason := onRecorder(t, Config{PingTimeout: time.Second}, &p, func(c *Conn) {
		c.Send(text("a"))
		time.Sleep(time.Second)
		synctest.Wait()
	})
	p.want(t, "0s a")
	want(t, reason, SlowConsumer)
}

// TestNothingFollowsAFailedWrite checks that nothing is written after an error, which
// may have cut a frame in two.
func TestNothingFollowsAFailedWrite(t *testing.T) {
	t.Parallel()
	p := recordingTransport{fail: io.ErrClosedPipe}
	reason := onRecorder(t, Config{}, &p, func(c *Conn) {
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

// TestEndAwaitsTheFlush checks that a connection ends after its current write.
func TestEndAwaitsTheFlush(t *testing.T) {
	t.Parallel()
	t.Run("writing", func(t *testing.T) {
		t.Parallel()
		p := recordingTransport{stuck: true}
		want(t, onRecorder(t, Config{}, &p, func(c *Conn) {
			c.Send(text("a"))
			synctest.Wait()
		}), TransportError)
		p.want(t, "0s a")
	})
	t.Run("gathering", func(t *testing.T) {
		t.Parallel()
		var p recordingTransport
		want(t, onRecorder(t, Config{}, &p, func(c *Conn) {
			c.Send(text("a"))
			synctest.Wait()
			c.Send(text("b"))
		}), TransportError)
		p.want(t, "0s a")
	})
}
