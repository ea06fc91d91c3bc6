package redismove

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
)

// SocketPart is the socket adapter when the socket role may move.
//
// Every envelope must go to a server to which all nodes are subscribed. So all nodes
// subscribe on both servers before any node publishes on the target. They publish on both
// until no node needs the source. While nodes are at most one phase apart, no envelope is
// lost or delivered twice.
type SocketPart struct {
	headStart time.Duration // see switchTargets; changed by tests

	tasks *tasks.Group
	to    atomic.Pointer[targets] // stored while sending is held

	entering sync.Mutex   // held by Enter, Start and Stop
	sending  sync.RWMutex // held while an envelope is queued, and while to is stored

	// Written while entering and mu are held.
	mu      sync.Mutex
	servers []*socketServer
	sink    func(adapter.Envelope)
	lost    func()
	started bool
	stopped bool

	rooms map[string]*socketRoom // guarded by mu
	count func(error)            // counts the outcome of an envelope
}

// socketRoom is a wanted room. It is ready when the primary server has subscribed it.
type socketRoom struct {
	ready chan struct{}
	once  sync.Once
}

// socketServer is a server and its adapter.
type socketServer struct {
	*redisadapter.Adapter
	clients *redisrole.Clients
}

// targets are the servers to which envelopes are published.
type targets struct {
	primary *socketServer // the part reports the health and the losses of this server
	second  *socketServer // may be nil
}

var (
	_ Part            = (*SocketPart)(nil)
	_ adapter.Adapter = (*SocketPart)(nil)
)

// NewSocketPart returns the adapter on the socket role's client. It does no I/O. It returns
// an error if the role does not use Redis.
func NewSocketPart(clients *redisrole.Clients, signing redisadapter.SigningSource, log *slog.Logger) (*SocketPart, error) {
	a, err := redisadapter.New(clients, signing, log)
	if err != nil {
		return nil, err
	}
	p := &SocketPart{headStart: headStart, tasks: tasks.New(), rooms: make(map[string]*socketRoom), count: a.Count}
	own := &socketServer{a, clients}
	p.servers = []*socketServer{own}
	p.to.Store(&targets{primary: own})
	return p, nil
}

// Start implements [adapter.Adapter].
func (p *SocketPart) Start(ctx context.Context, sink func(adapter.Envelope), lost func()) error {
	p.entering.Lock()
	defer p.entering.Unlock()
	p.mu.Lock()
	if p.started || p.stopped {
		p.mu.Unlock()
		return errStopped
	}
	p.started, p.sink, p.lost = true, sink, lost
	servers := p.servers
	p.mu.Unlock()
	err := all(servers, func(s *socketServer) error { return s.Start(ctx, sink, p.lostOn(s)) })
	if err != nil {
		ctx = context.WithoutCancel(ctx)
		return errors.Join(err, all(servers, func(s *socketServer) error { return s.Stop(ctx) }))
	}
	return nil
}

// lostOn returns the function that a server's adapter calls after it may have missed
// envelopes. It ignores servers other than the primary, because the primary has received
// the same envelopes.
func (p *SocketPart) lostOn(s *socketServer) func() {
	return func() {
		if p.to.Load().primary == s {
			p.lost()
		}
	}
}

// Stop implements [adapter.Adapter].
func (p *SocketPart) Stop(ctx context.Context) error {
	p.entering.Lock()
	defer p.entering.Unlock()
	p.mu.Lock()
	p.stopped = true
	servers := p.servers
	p.mu.Unlock()
	return errors.Join(p.tasks.Stop(ctx), all(servers, func(s *socketServer) error { return s.Stop(ctx) }))
}

// all calls fn concurrently for all servers.
func all(servers []*socketServer, fn func(*socketServer) error) error {
	errs := make([]error, len(servers))
	var calls sync.WaitGroup
	for i, s := range servers {
		calls.Go(func() { errs[i] = fn(s) })
	}
	calls.Wait()
	return errors.Join(errs...)
}

// Subscribe implements [adapter.Adapter].
func (p *SocketPart) Subscribe(room string) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := p.rooms[room]
	if r == nil {
		r = &socketRoom{ready: make(chan struct{})}
		p.rooms[room] = r
		for _, s := range p.servers {
			p.subscribe(s, room, r)
		}
	}
	return r.ready
}

func (p *SocketPart) subscribe(s *socketServer, room string, r *socketRoom) {
	s.SubscribeThen(room, func() {
		if p.to.Load().primary == s {
			r.once.Do(func() { close(r.ready) })
		}
	})
}

// Unsubscribe implements [adapter.Adapter].
func (p *SocketPart) Unsubscribe(room string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.rooms, room)
	for _, s := range p.servers {
		s.Unsubscribe(room)
	}
}

// Health pings the primary server.
func (p *SocketPart) Health(ctx context.Context) error { return p.to.Load().primary.Health(ctx) }

// Stats returns the counters.
func (p *SocketPart) Stats() redisadapter.Stats {
	to := p.to.Load()
	stats := to.primary.Stats()
	if to.second != nil {
		stats.Queued += to.second.Stats().Queued
	}
	return stats
}

// Publish implements [adapter.Adapter]. It succeeds if one server has accepted the
// envelope.
func (p *SocketPart) Publish(ctx context.Context, env adapter.Envelope) error {
	err := p.publish(ctx, env)
	p.count(err)
	return err
}

func (p *SocketPart) publish(ctx context.Context, env adapter.Envelope) error {
	results := make(chan error, 2)
	sent, err := p.send(ctx, env, true, func(err error) { results <- err })
	for range sent {
		select {
		case err = <-results:
			if err == nil {
				return nil
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return err
}

// Cast implements [adapter.Adapter].
func (p *SocketPart) Cast(ctx context.Context, env adapter.Envelope) bool {
	_, err := p.send(ctx, env, false, p.count)
	if errors.Is(err, redisadapter.ErrFull) {
		return false
	}
	if err != nil {
		p.count(err)
	}
	return true
}

// send queues an envelope at all targets with room in their queues, and returns the number
// of these targets.
func (p *SocketPart) send(ctx context.Context, env adapter.Envelope, wait bool, result func(error)) (int, error) {
	for {
		to := p.to.Load()
		places := make([]redisadapter.Place, 0, 2)
		place, err := to.primary.Reserve(ctx, env, wait, result)
		if err == nil {
			places = append(places, place)
		}
		if !wait && errors.Is(err, redisadapter.ErrFull) {
			return 0, err
		}
		if to.second != nil {
			second := result
			if !wait {
				second = nil // so that the result of a cast is counted once
			}
			if place, err := to.second.Reserve(ctx, env, false, second); err == nil {
				places = append(places, place)
			}
		}
		if len(places) == 0 {
			return 0, err
		}
		if p.queue(to, places) {
			return len(places), nil
		}
	}
}

// queue sends an envelope. If the targets have changed meanwhile, it releases the places
// and returns false.
func (p *SocketPart) queue(to *targets, places []redisadapter.Place) bool {
	p.sending.RLock()
	defer p.sending.RUnlock()
	if p.to.Load() != to {
		for _, place := range places {
			place.Release()
		}
		return false
	}
	redisadapter.Send(places...)
	return true
}
