//go:build linux

package load

import (
	"encoding/json"
	"net"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func TestPayload(t *testing.T) {
	t.Parallel()
	text := Payload(1234567890)
	if len(text) != PayloadSize || !json.Valid(text) {
		t.Errorf("%d bytes: %s", len(text), text)
	}
	if sent, ok := sentAt([]byte(`42["group:signal",` + string(text) + `]`)); !ok || sent != 1234567890 {
		t.Errorf("sent at %d, %v", sent, ok)
	}
	if _, ok := sentAt(text[:20]); ok {
		t.Error("a part of one")
	}
}

func TestLinesOfAFrame(t *testing.T) {
	t.Parallel()
	l := loop{}
	c := &conn{phase: ready}
	text := string(Payload(1))
	for payload, want := range map[string]int64{text: 1, text + "\n" + text: 2, "{}\n" + text + "\n" + text + "\n": 2, "{}": 0} {
		l.latencies = histogram{}
		if err := l.take(c, opText, []byte(payload), 2); err != nil {
			t.Fatal(err)
		}
		if l.latencies.total != want {
			t.Errorf("%q: %d payloads, want %d", payload, l.latencies.total, want)
		}
	}
}

// TestTakesFramesWithoutAllocating checks that handling a message allocates no memory, even if a
// frame arrives in two parts. The work of the load generator must not add to the server's
// measured cost.
func TestTakesFramesWithoutAllocating(t *testing.T) {
	l := loop{}
	c := &conn{phase: ready, rest: make([]byte, 0, 1<<10)}
	frame := append([]byte{0x80 | opText, 126, 0, PayloadSize}, Payload(1)...)
	if n := testing.AllocsPerRun(100, func() {
		for _, part := range [][]byte{frame, frame[:50], frame[50:]} {
			if err := l.arrived(c, part, 2); err != nil {
				t.Fatal(err)
			}
		}
	}); n > 0 {
		t.Errorf("%v allocations for two frames", n)
	}
	if l.latencies.total != 2*101 {
		t.Errorf("%d messages were counted", l.latencies.total)
	}
}

func TestFrame(t *testing.T) {
	t.Parallel()
	for _, length := range []int{0, 1, 125, 126, 65535, 65536} {
		payload := string(make([]byte, length))
		frame := frameOf(opText, payload)
		masked := len(frame) - length - 4
		frame = append(frame[:masked], frame[masked+4:]...) // frames of a server are not masked
		frame[1] &^= 0x80
		frame = append(frame, "next"...)
		op, got, size, ok := nextFrame(frame)
		if !ok || op != opText || len(got) != length || size != len(frame)-4 {
			t.Errorf("%d: opcode %d, %d bytes of %d, %v", length, op, len(got), size, ok)
		}
		if _, _, _, ok := nextFrame(frame[:size-1]); ok {
			t.Errorf("%d: a frame without its end", length)
		}
	}
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	var h histogram
	if h.quantile(0.5) != 0 {
		t.Error("a quantile of nothing")
	}
	for ms := 1; ms <= 1000; ms++ {
		h.add(int64(ms) * int64(time.Millisecond))
	}
	for q, want := range map[float64]time.Duration{0.01: 10 * time.Millisecond, 0.50: 500 * time.Millisecond, 0.99: 990 * time.Millisecond} {
		if got := h.quantile(q); got > want || got < want*96/100 {
			t.Errorf("quantile %v: %s, want %s", q, got, want)
		}
	}
	h.add(-1)
	h.add(1 << 62)
}

// TestReadsWhenTheKernelReceived checks that the time of receipt is the kernel's timestamp,
// however long a message waits to be read.
func TestReadsWhenTheKernelReceived(t *testing.T) {
	t.Parallel()
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	l.stamps = make([]byte, stampSize)
	pair, server := connected(t)
	c := &conn{fd: pair}
	defer c.close()
	if err := c.stamp(); err != nil {
		t.Fatal(err)
	}
	// The kernel starts to set timestamps some time after they are enabled.
	for deadline := time.Now().Add(time.Minute); ; {
		if _, err := server.Write([]byte("message")); err != nil {
			t.Fatal(err)
		}
		wrote := l.clock.Now()
		for l.clock.Now() < wrote+int64(5*time.Millisecond) {
			continue
		}
		n, received, err := l.readStamped(c)
		if err != nil || n != len("message") {
			t.Fatalf("read %d bytes: %v", n, err)
		}
		if late := time.Duration(received - wrote); late < time.Millisecond {
			return
		} else if time.Now().After(deadline) {
			t.Fatalf("received %s after it was written", late)
		}
	}
}

// connected returns both ends of a TCP connection, the first as a descriptor.
func connected(t *testing.T) (client int, server net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	client, err = unix.Socket(unix.AF_INET, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(listener.Addr().String())
	if err := unix.Connect(client, &unix.SockaddrInet4{Addr: addr.Addr().As4(), Port: int(addr.Port())}); err != nil {
		t.Fatal(err)
	}
	if server, err = listener.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = server.Close() })
	return client, server
}
