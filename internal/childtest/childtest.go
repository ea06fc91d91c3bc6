// Package childtest helps tests that start other processes.
package childtest

import (
	"bytes"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"sync"
)

// given are the ports that FreePort has returned. A port belongs to one server, which may
// be down and start again.
var given sync.Map

// FreePort returns a port that no process listens on and that it has not returned before.
// The port is below the range that the system uses for outgoing connections, so it stays
// free while its server is down.
func FreePort() int {
	for {
		port := 10000 + rand.IntN(22000)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		_ = l.Close()
		return port
	}
}

// Log keeps what a process or a logger prints. It is safe for concurrent use.
type Log struct {
	mu     sync.Mutex
	text   bytes.Buffer
	from   int
	phrase string
	found  chan struct{}
}

// Expect returns a channel that is closed once phrase is printed after the call.
func (l *Log) Expect(phrase string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from, l.phrase, l.found = l.text.Len(), phrase, make(chan struct{})
	return l.found
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if l.phrase != "" && bytes.Contains(l.text.Bytes()[l.from:], []byte(l.phrase)) {
		l.phrase = ""
		close(l.found)
	}
	return len(p), nil
}

// Count returns how often part was printed.
func (l *Log) Count(part string) int { return strings.Count(l.String(), part) }

// String returns all that was printed.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
