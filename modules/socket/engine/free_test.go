package engine

import (
	"strings"
	"testing"
	"testing/synctest"
)

// TestWhenFree checks functions that wait for a busy connection. They must be called once the
// client has read all queued frames, or the connection has ended.
func TestWhenFree(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*Conn, *recordingTransport){
		"taken": func(_ *Conn, p *recordingTransport) { p.block <- struct{}{} },
		"cut":   func(c *Conn, _ *recordingTransport) { c.cut(TransportError) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := recordingTransport{stuck: true}
			onRecorder(t, Config{MaxBacklog: 1 << 20}, &p, func(c *Conn) {
				called := 0
				c.WhenFree(func() { called++ })
				if synctest.Wait(); called != 1 {
					t.Fatalf("called %d times while nothing is queued", called)
				}
				c.Send(text("a"))
				c.Send(text(strings.Repeat("x", busyBytes)))
				if !c.Busy() {
					t.Fatal("it is not busy")
				}
				c.WhenFree(func() { called++ })
				c.WhenFree(func() { called++ })
				if synctest.Wait(); called != 1 {
					t.Fatalf("called %d times while it is busy", called-1)
				}
				end(c, &p)
				if synctest.Wait(); name == "taken" {
					p.block <- struct{}{} // the second write
					synctest.Wait()
				}
				if called != 3 {
					t.Errorf("called %d times, want 2", called-1)
				}
			})
		})
	}
}
