// Package proxytest puts a TCP proxy between a client and its server. A test can break the
// connections through it:
//
//	Cut      resets every connection, also new ones
//	Drop     resets every open connection; new ones work
//	Freeze   keeps connections open but delivers no bytes
//	Lose     drops the bytes in one direction
//	Strand   resets only the server's ends; the clients do not notice, and new connections work
//	Delay    delivers all bytes later
//	Redirect sends new connections to another target; open ones stay
package proxytest

import (
	"net"
	"sync"
	"testing"
	"time"
)

// dialTimeout limits the time to connect to the target.
const dialTimeout = 5 * time.Second

// Proxy forwards connections to one target until the test ends. It is safe for concurrent
// use.
type Proxy struct {
	listener net.Listener
	running  sync.WaitGroup

	mu       sync.Mutex
	target   string
	links    map[*link]struct{}
	accepted int
	cut      bool
	lose     [ways]bool
	delay    time.Duration
	thawed   chan struct{} // closed while bytes are forwarded
	closed   bool
}

// link is one client's connection and the connection to the target.
type link struct {
	client, server net.Conn
	stranded       bool // the client does not learn that the server's end is closed
	torn           bool // bytes were lost, so it cannot continue
}

func (l *link) close() {
	// Drop unsent bytes and make the peer see a reset, as after a crash.
	for _, c := range []net.Conn{l.client, l.server} {
		if c != nil {
			reset(c)
		}
	}
}

func reset(c net.Conn) {
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	_ = c.Close()
}

// Start listens on a free port of 127.0.0.1 and forwards to target.
func Start(tb testing.TB, target string) *Proxy {
	tb.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("proxytest: listen: %v", err)
	}
	p := &Proxy{target: target, listener: listener, links: make(map[*link]struct{}), thawed: make(chan struct{})}
	close(p.thawed)
	p.running.Add(1)
	go p.accept()
	tb.Cleanup(p.stop)
	return p
}

// Addr returns the host:port that clients connect to.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// Links returns how many connections are open.
func (p *Proxy) Links() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.links)
}

// Accepted returns the number of connections accepted so far, including those that were
// refused after [Proxy.Cut].
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// dropLocked resets every connection.
func (p *Proxy) dropLocked() {
	for l := range p.links {
		l.close()
	}
}

func (p *Proxy) thawLocked() {
	select {
	case <-p.thawed:
	default:
		close(p.thawed)
	}
}

func (p *Proxy) stop() {
	_ = p.listener.Close()
	p.mu.Lock()
	p.closed = true
	p.dropLocked()
	p.thawLocked()
	p.mu.Unlock()
	p.running.Wait()
}

func (p *Proxy) accept() {
	defer p.running.Done()
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		l := &link{client: client}
		p.mu.Lock()
		p.accepted++
		if p.cut || p.closed {
			p.mu.Unlock()
			l.close()
			continue
		}
		p.links[l] = struct{}{}
		p.running.Add(1)
		p.mu.Unlock()
		go p.serve(l)
	}
}

// serve connects a link to the target and copies until either side ends.
func (p *Proxy) serve(l *link) {
	defer p.running.Done()
	p.mu.Lock()
	target := p.target
	p.mu.Unlock()
	server, err := net.DialTimeout("tcp", target, dialTimeout)
	p.mu.Lock()
	if err != nil || p.cut || p.closed {
		p.removeLocked(l)
		p.mu.Unlock()
		if server != nil {
			_ = server.Close()
		}
		return
	}
	l.server = server
	p.mu.Unlock()
	var both sync.WaitGroup
	both.Go(func() { p.copy(l, ToServer, server, l.client) })
	both.Go(func() { p.copy(l, ToClient, l.client, server) })
	both.Wait()
}

func (p *Proxy) removeLocked(l *link) {
	l.close()
	delete(p.links, l)
}
