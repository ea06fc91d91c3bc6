package engine

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/moim-live/moim/internal/waittest"
)

// TestOneWriterAtATime breaks the WebSocket protocol while other goroutines send. Each frame must
// arrive whole, in the order of its sender, and none after the close frame.
func TestOneWriterAtATime(t *testing.T) {
	t.Parallel()
	const senders, rounds = 3, 10
	for listener, serve := range readers {
		for name, broken := range map[string][]byte{
			"a violation":  fromClient(0x83, "x"),
			"a large one":  length(fromClient(0x81, "x"), 127, 1<<40),
			"a close code": goingAway(1014, ""),
			"a stub":       fromClient(0x88, "x"),
			"a goodbye":    goingAway(4000, ""),
		} {
			t.Run(listener+" "+name, func(t *testing.T) {
				s := startOn(t, serve, Config{Gather: -1, MaxBacklog: 64 << 10})
				for round := range rounds {
					c := s.upgradeRaw(t, Plain)
					r := receive(t, s.receivers)
					waittest.Until(t, "the connection is open", r.conn.isOpen)
					var all sync.WaitGroup
					for i := range senders {
						all.Go(func() {
							random := rand.New(rand.NewPCG(uint64(round), uint64(i)))
							for n := 0; r.conn.isOpen(); runtime.Gosched() {
								if !r.conn.Busy() {
									r.conn.Send(text(fmt.Sprintf("%d %d %s.", i, n, strings.Repeat("x", random.IntN(1<<random.IntN(14))))))
									n++
								}
							}
						})
					}
					for range 3 { // wait until they send
						if _, err := c.frame(); err != nil {
							t.Fatal(err)
						}
					}
					go func() {
						_, _ = c.Write(append(bytes.Repeat(fromClient(0x89, "ping"), 20), broken...))
					}()
					messages, _ := c.rest(t) // on a busy machine, the connection may be cut before the close frame
					inOrder(t, messages)
					_ = c.Close()
					receive(t, r.closed)
					all.Wait()
				}
			})
		}
	}
}

// readers are the kinds of listeners whose connections different code serves.
var readers = func() map[string]serveFunc {
	all := map[string]serveFunc{"TLS": httptest.NewTLSServer}
	for name, serve := range listeners {
		all[name] = serve
	}
	return all
}()

// inOrder checks that each sender's messages are whole and in order.
func inOrder(t *testing.T, messages []string) {
	t.Helper()
	last := make(map[int]int)
	for _, m := range messages {
		var i, n int
		if _, err := fmt.Sscan(m, &i, &n); err != nil || !strings.HasSuffix(m, ".") {
			t.Fatalf("received %.50q: %v", m, err)
		}
		if before, ok := last[i]; ok && n != before+1 {
			t.Fatalf("sender %d: %d after %d", i, n, before)
		}
		last[i] = n
	}
}
