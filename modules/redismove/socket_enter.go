package redismove

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
)

const (
	// takeTimeout limits how long a phase waits for the target.
	takeTimeout = 2 * time.Second
	// headStart is how long the first envelopes to a second server are delayed, so that
	// earlier envelopes, which went only to the primary, arrive first.
	headStart = 100 * time.Millisecond
	// lateRetry is the interval at which a late node checks its server.
	lateRetry = 250 * time.Millisecond
)

// Enter implements [Part].
func (p *SocketPart) Enter(ctx context.Context, s Step) error {
	p.entering.Lock()
	defer p.entering.Unlock()
	primary, second := s.From, s.To
	switch s.Phase {
	case Settled:
		second = nil
	case Joined, Both:
	case Leaving: // other nodes may be in Both or in Moved
		primary, second = s.To, s.From
	case Moved:
		primary, second = s.To, nil
	default:
		return s.unknown()
	}
	ctx, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	err := p.use(ctx, primary, second, s.Phase != Joined, s.Forward && s.Phase != Moved)
	if errors.Is(err, redisadapter.ErrBehind) {
		return fmt.Errorf("%w: not all rooms are subscribed to on the new server", ErrNotYet)
	}
	return err
}

// use makes one server the primary, and subscribes on a second one if it is not nil. If
// both is set, it also publishes to the second server. If check is set, it returns an error
// unless both servers can be used. After an error, the previous servers or some of the new
// ones are in use; use may be called again.
func (p *SocketPart) use(ctx context.Context, primary, second *redisrole.Clients, both, check bool) error {
	before := p.to.Load()
	if err := p.leave(ctx, before.primary.clients, primary, second); err != nil {
		return err
	}
	first, late, err := p.open(primary)
	if err != nil {
		return err
	}
	next := &targets{primary: first}
	if second != nil {
		s, _, err := p.open(second)
		if err != nil {
			return err
		}
		if both {
			next.second = s
		}
	}
	if check {
		if err := p.check(ctx, before.primary); err != nil {
			return err
		}
	}
	p.switchTargets(before, next)
	if late {
		p.tasks.Run(func(ctx context.Context) { p.tellLost(ctx, first) })
	}
	if check && first != before.primary { // subscriptions since the first check have waited for the old primary
		if err := p.check(ctx, before.primary); err != nil {
			return err
		}
	}
	return p.leave(ctx, primary, second)
}

// open returns the adapter on a server, and whether it was created and started by this
// call.
func (p *SocketPart) open(clients *redisrole.Clients) (s *socketServer, began bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.servers {
		if s.clients == clients {
			return s, false, nil
		}
	}
	if p.stopped {
		return nil, false, errStopped
	}
	a, err := p.servers[0].Beside(clients)
	if err != nil {
		return nil, false, err
	}
	s = &socketServer{a, clients}
	for room, r := range p.rooms {
		p.subscribe(s, room, r)
	}
	if p.started {
		if err := s.Begin(p.sink, p.lostOn(s)); err != nil {
			return nil, false, errors.Join(err, s.Stop(context.Background())) // nothing was started
		}
	}
	p.servers = append(slices.Clone(p.servers), s)
	return s, p.started, nil
}

// check returns an error unless all servers except the primary can be used.
func (p *SocketPart) check(ctx context.Context, primary *socketServer) error {
	for _, s := range p.servers {
		if s == primary {
			continue
		}
		usable := s.Sync
		if !p.started {
			usable = func(ctx context.Context) error { return s.clients.Health(ctx, redisrole.Socket) }
		}
		if err := usable(ctx); err != nil {
			return err
		}
	}
	return nil
}

// switchTargets starts publishing to other targets.
func (p *SocketPart) switchTargets(before, next *targets) {
	if next.second != nil && next.second != before.second && next.second != before.primary {
		next.second.HoldBack(p.headStart)
	}
	p.sending.Lock()
	p.to.Store(next)
	p.sending.Unlock()
	if next.primary == before.primary {
		return
	}
	p.mu.Lock()
	for room, r := range p.rooms { // the new primary may have subscribed the room already
		p.subscribe(next.primary, room, r)
	}
	p.mu.Unlock()
	if before.primary.Missed() { // its reconnection would not be reported any more
		p.lost()
	}
}

// tellLost calls lost once all rooms are subscribed to on a server to which other nodes may
// have published already.
func (p *SocketPart) tellLost(ctx context.Context, s *socketServer) {
	for s.Sync(ctx) != nil {
		if !tasks.Pause(ctx, lateRetry) {
			return
		}
	}
	p.lost()
}

// leave stops the adapters on servers that are not in stay.
func (p *SocketPart) leave(ctx context.Context, stay ...*redisrole.Clients) error {
	var errs []error
	for _, s := range p.servers {
		if slices.Contains(stay, s.clients) {
			continue
		}
		if err := s.Stop(ctx); err != nil {
			errs = append(errs, err)
			continue
		}
		p.mu.Lock()
		p.servers = slices.DeleteFunc(slices.Clone(p.servers), func(other *socketServer) bool { return other == s })
		p.mu.Unlock()
	}
	return errors.Join(errs...)
}
