package redistest

import (
	"bytes"
	"math/rand/v2"
	"net"
	"strconv"
	"sync"
)

// freePort returns a port that nothing listens on, below the range from which
// the system takes the ports of outgoing connections: so it stays free while
// the server is down.
func freePort() int {
	for {
		port := 10000 + rand.IntN(22000)
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		_ = l.Close()
		return port
	}
}

// serverLog keeps what a server printed and waits for a phrase in it.
type serverLog struct {
	mu     sync.Mutex
	text   bytes.Buffer
	from   int
	phrase string
	found  chan struct{}
}

// expect returns a channel that is closed once phrase is printed from now on.
func (l *serverLog) expect(phrase string) <-chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.from, l.phrase, l.found = l.text.Len(), phrase, make(chan struct{})
	return l.found
}

// Write implements io.Writer.
func (l *serverLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.text.Write(p)
	if l.phrase != "" && bytes.Contains(l.text.Bytes()[l.from:], []byte(l.phrase)) {
		l.phrase = ""
		close(l.found)
	}
	return len(p), nil
}

// String returns all that was printed.
func (l *serverLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
