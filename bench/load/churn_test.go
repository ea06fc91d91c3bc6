//go:build linux

package load

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestClientsComeBackWithWhatTheyHaveSeen lets one client reconnect and subscribe again. The
// server sends it one numbered message each time. The client must subscribe after the last
// version that it has seen.
func TestClientsComeBackWithWhatTheyHaveSeen(t *testing.T) {
	t.Parallel()
	said := make(chan string, 1000)
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	session := Session{Addr: serve(t, said), Path: "/", Steps: []Step{{Say: "subscribe"}, {Await: "subscribed"}}, Resume: &Resume{
		Marker:      `"version":`,
		Reconnect:   []Step{{Say: "reconnect since " + Seen}, {Await: "subscribed"}},
		Resubscribe: []Step{{Say: "leave"}, {Await: "left", Say: "subscribe since " + Seen}, {Await: "subscribed"}},
	}}
	if err := l.open(Plan{Sessions: []Session{session}, AtOnce: 1}); err != nil {
		t.Fatal(err)
	}
	turns := func(until func() bool) {
		for deadline := time.Now().Add(time.Minute); !until(); {
			if err := l.turn(); err != nil {
				t.Fatal(err)
			}
			if time.Now().After(deadline) {
				t.Fatalf("%+v", l.counts())
			}
		}
	}
	turns(func() bool { return l.conns[0].seen == 1 })
	for _, churn := range []Churn{{Reconnects: 20}, {Resubscribes: 20}} {
		l.reset()
		l.begin(churn)
		turns(func() bool { return l.readyCount >= 2 })
		l.begin(Churn{})
		turns(func() bool { return l.away() == 0 })
	}
	if l.lost > 0 {
		t.Errorf("%d connections were lost", l.lost)
	}
	heard := "\n"
	for len(said) > 0 {
		heard += <-said + "\n"
	}
	for _, want := range []string{"\nsubscribe\nreconnect since 1\nreconnect since ", "\nleave\nsubscribe since "} {
		if !strings.Contains(heard, want) {
			t.Errorf("no %q in %q", want, heard)
		}
	}
}

// serve answers clients that subscribe and leave, and numbers its messages.
func serve(t *testing.T, said chan<- string) (addr string) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	version := 0
	send := func(conn net.Conn, message string) {
		_, _ = conn.Write(append([]byte{0x80 | opText, byte(len(message))}, message...))
	}
	go func() { // one client, which connects several times in a row
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			reader := bufio.NewReader(conn)
			if _, err := http.ReadRequest(reader); err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
			for {
				head := make([]byte, 6)
				if _, err := io.ReadFull(reader, head); err != nil {
					break
				}
				text := make([]byte, head[1]&0x7f)
				if _, err := io.ReadFull(reader, text); err != nil {
					break
				}
				said <- string(text)
				if string(text) == "leave" {
					send(conn, "left")
					continue
				}
				version++
				send(conn, "subscribed")
				send(conn, fmt.Sprintf(`{"version":%d}`, version))
			}
			_ = conn.Close()
		}
	}()
	return listener.Addr().String()
}
