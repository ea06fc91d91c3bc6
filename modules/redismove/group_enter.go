package redismove

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/group/redispresence"
	"github.com/moim-live/moim/modules/redisrole"
)

const (
	catchUp   = time.Second     // how long a call waits for the second server to know everything
	catchTick = catchUp / 50    // how often it looks
	leaveTime = 3 * time.Second // for leaving a server
)

var (
	errSameServer = errors.New("the new server is the one in use, by another name: change the configuration instead")
	errCopying    = fmt.Errorf("%w: what the old server knows of groups is being copied", ErrNotYet)
)

// Enter implements [Part].
func (p *GroupPart) Enter(ctx context.Context, s Step) error {
	p.entering.Lock()
	defer p.entering.Unlock()
	switch s.Phase {
	case Settled, Joined:
		return p.use(ctx, s.From, nil)
	case Both:
		if err := p.use(ctx, s.From, s.To); err != nil || !s.Forward {
			return err
		}
		return p.fill(ctx)
	case Leaving:
		if err := p.use(ctx, s.From, s.To); err != nil {
			return err
		}
		if err := p.takeOver(ctx); err != nil {
			return err
		}
		return p.use(ctx, s.To, s.From)
	case Moved:
		return p.use(ctx, s.To, nil)
	}
	return s.unknown()
}

// use makes one server the primary and another one the second server, or none
// when second is nil. A server is the second one before it is the primary.
// After an error the primary is the one before; use may be called again.
func (p *GroupPart) use(ctx context.Context, primary, second *redisrole.Clients) error {
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return errStopped
	}
	if !p.started { // no user is here yet
		p.primary, p.second = groupServer{primary, p.open(primary)}, nil
		if second != nil {
			p.second = p.newSecond(second)
		}
		p.mu.Unlock()
		return nil
	}
	current, mirrored := p.primary, p.second
	p.mu.Unlock()
	if current.clients != primary {
		if mirrored == nil || mirrored.clients != primary {
			if err := p.setSecond(ctx, primary); err != nil {
				return err
			}
		}
		if err := p.swap(ctx); err != nil {
			return err
		}
	}
	return p.setSecond(ctx, second)
}

// newSecond returns the mirror on a server, which begins with this node's users.
func (p *GroupPart) newSecond(at *redisrole.Clients) *mirror {
	store := p.open(at)
	store.Inherit(p.primary.store)
	return newMirror(groupServer{at, store}, p.reports.addAll)
}

// setSecond makes a server the second one; nil: none.
func (p *GroupPart) setSecond(ctx context.Context, at *redisrole.Clients) error {
	primary, second := p.servers()
	if second != nil && second.clients == at || second == nil && at == nil {
		return nil
	}
	if second != nil {
		if err := p.exchange(ctx, nil); err != nil {
			return err
		}
		p.leave(ctx, primary, second)
	}
	if at == nil {
		return nil
	}
	if err := p.exchange(ctx, at); err != nil {
		return err
	}
	_, second = p.servers()
	second.start()
	p.startSecond(context.WithoutCancel(ctx), second) // a store starts once
	return nil
}

// exchange makes the mirror on a server the second server, or removes it,
// while no change is applied.
func (p *GroupPart) exchange(ctx context.Context, at *redisrole.Clients) error {
	if err := p.takeTurn(ctx); err != nil {
		return err
	}
	defer p.endTurn()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.second = nil
	if at != nil {
		p.second = p.newSecond(at)
	}
	return nil
}

// leave stops the store on a server that is not used any more. It waits: if
// this node comes back to that server, it begins anew.
func (p *GroupPart) leave(ctx context.Context, primary groupServer, left *mirror) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTime)
	defer cancel()
	stop := left.store.Leave
	if primary.store.SharesServer(left.store) {
		stop = left.store.Stop
	}
	if err := errors.Join(left.tasks.Stop(ctx), stop(ctx)); err != nil {
		p.log.DebugContext(ctx, "redismove: the group role's server that this node leaves does not answer", "err", err)
	}
}

// fill returns nil once the second server knows all that the primary knows of
// this node's groups.
func (p *GroupPart) fill(ctx context.Context) error {
	primary, second := p.servers()
	if !p.started || second == nil {
		return nil
	}
	if err := second.clients.Health(ctx, redisrole.Group); err != nil {
		return err
	}
	if err := second.entered(ctx); err != nil {
		return err
	}
	if primary.store.SharesServer(second.store) {
		return errSameServer
	}
	if err := second.written(ctx); err != nil {
		return err
	}
	if second.copied {
		return nil
	}
	return p.copy(ctx, primary, second)
}

// copy copies what only the primary knows to the second server. It goes on in
// the background when it takes long.
func (p *GroupPart) copy(ctx context.Context, primary groupServer, second *mirror) error {
	if second.copying == nil {
		done := make(chan error, 1)
		second.copying = done
		p.tasks.Run(func(ctx context.Context) { done <- primary.store.CopyTo(ctx, second.store) })
	}
	limit := time.NewTimer(catchUp)
	defer limit.Stop()
	select {
	case err := <-second.copying:
		second.copying = nil
		second.copied = second.copied || err == nil
		return err
	case <-limit.C:
		return errCopying
	case <-ctx.Done():
		return ctx.Err()
	}
}

// takeOver returns nil once the second server knows the users of dead nodes:
// those are swept on both servers, and the graces that run on the primary run
// there, too. All nodes must have filled the second server.
func (p *GroupPart) takeOver(ctx context.Context) error {
	primary, second := p.servers()
	if !p.started || second == nil {
		return nil
	}
	if err := p.fill(ctx); err != nil {
		return err
	}
	here, dead, err := primary.store.Nodes(ctx)
	if err != nil {
		return err
	}
	there, unswept, err := second.store.Nodes(ctx)
	if err != nil {
		return err
	}
	if dead+unswept > 0 || here != there {
		return fmt.Errorf("%w: dead nodes are swept: %d nodes are alive on the old server, %d on the new one, %d are not swept",
			ErrNotYet, here, there, dead+unswept)
	}
	return p.copy(ctx, primary, second)
}

// swap makes the second server the primary, and the primary the second server.
func (p *GroupPart) swap(ctx context.Context) error {
	primary, second := p.servers()
	if err := second.entered(ctx); err != nil {
		return err
	}
	if !second.copied { // this node comes late, and the primary may be down by now
		if err := p.copy(ctx, primary, second); errors.Is(err, ErrNotYet) {
			return err
		}
	}
	if err := p.takeTurn(ctx); err != nil {
		return err
	}
	defer p.endTurn()
	for {
		if err := second.written(ctx); err != nil {
			return err
		}
		p.mu.Lock()
		if second.pending() == nil { // no live state was set meanwhile
			break
		}
		p.mu.Unlock()
	}
	p.primary = second.groupServer
	p.second = newMirror(primary, p.reports.addAll)
	p.second.copied = true
	p.second.start()
	p.mu.Unlock()
	return second.tasks.Stop(ctx)
}

// entered waits until the server knows all users of this node.
func (m *mirror) entered(ctx context.Context) error {
	return soon(ctx, func() error { return m.store.Entered(ctx) })
}

// written waits until everything is written.
func (m *mirror) written(ctx context.Context) error { return soon(ctx, m.pending) }

// soon tries until there is no error, but not for long. The error is
// [ErrNotYet] unless ctx ended.
func soon(ctx context.Context, try func() error) error {
	limit := time.NewTimer(catchUp)
	defer limit.Stop()
	tick := time.NewTicker(catchTick)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		if !errors.Is(err, redispresence.ErrEntering) && !errors.Is(err, errPending) {
			return fmt.Errorf("%w: %w", ErrNotYet, err)
		}
		select {
		case <-limit.C:
			return fmt.Errorf("%w: %w", ErrNotYet, err)
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
