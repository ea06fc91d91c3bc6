package engine

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"
)

// BenchmarkFanOut writes one frame to many connections whose peers discard it.
// Without quiet, bursts follow each other and are gathered. With quiet, each burst
// waits for the end of the window and is written directly.
func BenchmarkFanOut(b *testing.B) {
	for _, quiet := range []bool{false, true} {
		for _, n := range []int{1, 100, 1000} {
			b.Run(fmt.Sprintf("quiet=%v/conns=%d", quiet, n), func(b *testing.B) {
				cfg := Config{MaxBacklog: 1 << 30, PingInterval: time.Hour} // the peers do not answer pings
				if quiet {
					cfg.Gather = -1
				}
				s := start(b, cfg)
				conns := make([]*Conn, n)
				for i := range conns {
					ws, r := s.dial(b, Plain)
					conns[i] = r.conn
					go func() { _, _ = io.Copy(io.Discard, ws.NetConn()) }()
				}
				frame := text(strings.Repeat("x", 150))
				before := s.Stats()
				b.ReportAllocs()
				for b.Loop() {
					for _, c := range conns {
						c.Send(frame)
					}
					if quiet {
						arrived(b, s, before.Frames+int64(n))
						before.Frames += int64(n)
					}
				}
				if !quiet {
					arrived(b, s, before.Frames+int64(b.N*n))
				}
				deliveries := float64(b.N * n)
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/deliveries, "ns/delivery")
				b.ReportMetric(float64(s.Stats().Writes-before.Writes)/deliveries, "writes/delivery")
			})
		}
	}
}

// arrived waits until the engine has written this many frames.
func arrived(b *testing.B, s *testServer, frames int64) {
	b.Helper()
	for deadline := time.Now().Add(time.Minute); s.Stats().Frames < frames; runtime.Gosched() {
		if time.Now().After(deadline) {
			b.Fatalf("%+v", s.Stats())
		}
	}
}

func BenchmarkFrame(b *testing.B) {
	head, body, tail := []byte(`2["news",`), []byte(strings.Repeat("x", 150)), []byte(`]`)
	b.ReportAllocs()
	for b.Loop() {
		EngineIO.Frame(head, body, tail)
	}
}

// BenchmarkOpen opens and closes sockets, one after the other.
func BenchmarkOpen(b *testing.B) {
	s := start(b, Config{})
	request := "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\n" + strings.Join(validHandshake(), "\r\n") + "\r\n\r\n"
	buffer := make([]byte, 4<<10)
	b.ReportAllocs()
	for b.Loop() {
		conn, err := net.Dial("tcp", s.addr())
		if err != nil {
			b.Fatal(err)
		}
		if _, err := io.WriteString(conn, request); err != nil {
			b.Fatal(err)
		}
		for n := 0; !bytes.Contains(buffer[:n], []byte(`"maxPayload"`)); {
			more, err := conn.Read(buffer[n:])
			if err != nil {
				b.Fatal(err)
			}
			n += more
		}
		r := <-s.receivers
		_ = conn.Close()
		<-r.closed
	}
}
