package proxytest

import (
	"io"
	"net"
	"time"
)

// Way is one of the two ways through a proxy.
type Way int

// The ways.
const (
	ToServer Way = iota
	ToClient
	ways
)

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

// Lose makes what is sent one way vanish until [Proxy.Heal], while the other way
// is open. A connection that lost something is reset then.
func (p *Proxy) Lose(way Way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose[way] = true
}

// Strand resets the server's end of every connection and tells no client: it
// has a connection that is open, takes what is written and never answers. That
// lasts until the client gives it up; new connections are not affected.
func (p *Proxy) Strand() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.stranded = true
		if l.server != nil {
			reset(l.server)
		}
	}
}

// Delay makes every byte arrive so much later, each way, from now on. Zero ends
// it.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Redirect makes new connections go to another target. Those that are open
// stay where they are.
func (p *Proxy) Redirect(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Heal ends what [Proxy.Cut], [Proxy.Freeze], [Proxy.Lose] and [Proxy.Delay]
// began: bytes that were held are delivered.
func (p *Proxy) Heal() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.cut, p.lose, p.delay = false, [ways]bool{}, 0
	for l := range p.links {
		if l.torn {
			l.close()
		}
	}
	p.thawLocked()
}

// chunk is bytes on their way.
type chunk struct {
	data []byte
	due  time.Time
}

// maxChunks bounds how many are on their way at once, each way.
const maxChunks = 1024

// copy moves bytes one way until either side ends.
func (p *Proxy) copy(l *link, way Way, dst, src net.Conn) {
	underway := make(chan chunk, maxChunks)
	written := make(chan struct{})
	go func() {
		defer close(written)
		p.write(l, way, dst, underway)
	}()
	buf := make([]byte, 32<<10)
	for {
		n, err := src.Read(buf)
		p.mu.Lock()
		thawed, due := p.thawed, time.Now().Add(p.delay)
		p.mu.Unlock()
		<-thawed
		if n > 0 {
			select {
			case underway <- chunk{append([]byte(nil), buf[:n]...), due}:
			case <-written:
			}
		}
		if err != nil {
			break
		}
	}
	close(underway)
	<-written
	p.mu.Lock()
	defer p.mu.Unlock()
	if !l.stranded || way == ToServer {
		p.removeLocked(l)
	}
}

// write delivers what is under way, each when it is due. It goes on reading
// when there is nobody to write to.
func (p *Proxy) write(l *link, way Way, dst io.Writer, underway <-chan chunk) {
	for c := range underway {
		if wait := time.Until(c.due); wait > 0 {
			<-time.After(wait)
		}
		p.mu.Lock()
		lost := p.lose[way] || l.stranded
		l.torn = l.torn || lost
		p.mu.Unlock()
		if lost {
			continue
		}
		if _, err := dst.Write(c.data); err != nil {
			p.mu.Lock()
			if !l.stranded {
				l.close()
			}
			p.mu.Unlock()
		}
	}
}
