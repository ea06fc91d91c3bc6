package proxytest

import (
	"io"
	"net"
	"time"
)

// Way is one of the two directions through a proxy.
type Way int

// The directions.
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

// Drop resets every connection once. Clients may reconnect.
func (p *Proxy) Drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.dropLocked()
}

// Freeze keeps connections open and accepts new ones, but no byte passes in either
// direction until [Proxy.Heal].
func (p *Proxy) Freeze() {
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-p.thawed:
		p.thawed = make(chan struct{})
	default:
	}
}

// Lose drops all bytes in one direction until [Proxy.Heal]. The other direction works. Heal
// resets connections that have lost bytes.
func (p *Proxy) Lose(way Way) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.lose[way] = true
}

// Strand resets the server's end of every connection without telling the client. The
// client's connection stays open and accepts bytes, but never answers, until the client
// gives up. New connections are not affected.
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

// Delay delays every byte in both directions by d from now on. Zero ends the delay.
func (p *Proxy) Delay(d time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay = d
}

// Redirect sends new connections to another target. Open connections stay.
func (p *Proxy) Redirect(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
}

// Heal ends the effects of [Proxy.Cut], [Proxy.Freeze], [Proxy.Lose] and [Proxy.Delay], and
// delivers bytes that were held.
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

// chunk is a number of bytes in transit.
type chunk struct {
	data []byte
	due  time.Time
}

// maxChunks is the maximum number of chunks in transit, in each direction.
const maxChunks = 1024

// copy moves bytes in one direction until either side ends.
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

// write delivers the chunks when they are due. It keeps receiving them even if it can no longer
// write.
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
