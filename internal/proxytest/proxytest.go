// Package proxytest puts a TCP proxy between a client and its server, so that
// a test can cut or freeze the link.
package proxytest

import (
	"net"
	"sync"
	"testing"
	"time"
)

// dialTimeout bounds how long the proxy tries to reach its target.
const dialTimeout = 5 * time.Second

// Proxy forwards connections to one target until the test ends. Its methods
// may be called concurrently.
type Proxy struct {
	listener net.Listener
	running  sync.WaitGroup

	mu       sync.Mutex
	target   string
	links    map[*link]struct{}
	accepted int
	cut      bool
	thawed   chan struct{} // closed while bytes flow
	closed   bool
}

// link is one client's connection and the one to the target.
type link struct{ client, server net.Conn }

func (l *link) close() {
	// Unsent bytes are thrown away and the peer sees a reset, as after a crash.
	for _, c := range []net.Conn{l.client, l.server} {
		if tcp, ok := c.(*net.TCPConn); ok {
			_ = tcp.SetLinger(0)
		}
		if c != nil {
			_ = c.Close()
		}
	}
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

// Accepted returns how many connections were ever accepted, those that were
// refused after [Proxy.Cut] included.
func (p *Proxy) Accepted() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.accepted
}

// Cut resets every connection and, until [Proxy.Heal], every new one.
func (p *Proxy) Cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = true
	p.dropLocked()
}

// Drop resets every connection once; clients may come back.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked()
}

// Freeze makes connections stay open, and new ones be accepted, while no byte
// passes in either direction until [Proxy.Heal].
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thawed:
		p.thawed = make(chan struct{})
	default:
	}
}

// Heal ends what [Proxy.Cut] and [Proxy.Freeze] began: bytes that were held
// are delivered.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut = false
	p.thawLocked()
}

// Redirect makes new connections go to another target. Those that are open
// stay where they are.
func (p *Proxy) Redirect(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

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
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.copy(l, server, l.client)
	}()
	p.copy(l, l.client, server)
	<-done
}

func (p *Proxy) removeLocked(l *link) {
	l.close()
	delete(p.links, l)
}

// copy moves bytes one way while the proxy is not frozen.
func (p *Proxy) copy(l *link, dst, src net.Conn) {
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.removeLocked(l)
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		p.mu.Lock()
		thawed := p.thawed
		p.mu.Unlock()
		<-thawed
		if n > 0 {
			if _, err := dst.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}
