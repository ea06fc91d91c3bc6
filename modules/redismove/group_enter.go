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
	catchUp   = time.Second     // how long a call waits until the second server has caught up
	catchTick = catchUp / 50    // interval of checks
	leaveTime = 3 * time.Second // limit for leaving a server
)

var (
	errSameServer = errors.New("the new server is the one in use, by another name: change the configuration instead")
	errCopying    = fmt.Errorf("%w: data about groups is being copied from the old server", ErrNotYet)
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

// use makes one server the primary and another one the second server; second may be nil. A
// server must have been the second one before it becomes the primary. After an error the
// primary is unchanged, and use may be called again.
func (p *GroupPart) use(ctx context.Context, primary, second *redisrole.Clients) error {
	p.mu.Lock()
	if p.stopped {
		p.mu.Unlock()
		return errStopped
	}
	if !p.started { // there are no users yet
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

// newSecond returns a mirror on a server. It begins with this node's users.
func (p *GroupPart) newSecond(at *redisrole.Clients) *mirror {
	store := p.open(at)
	store.Inherit(p.primary.store)
	return newMirror(groupServer{at, store}, p.reports.addAll)
}

// setSecond makes a server the second one; at may be nil.
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
	p.startSecond(context.WithoutCancel(ctx), second) // a store can be started only once
	return nil
}

// exchange makes the mirror on a server the second server, or removes the second server,
// while no change is being applied.
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

// leave stops the store on a server that is not used any more. It waits for this, because
// the store must begin anew if this node comes back to the server.
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

// fill returns nil once the second server has all that the primary has about this node's
// groups.
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

// copy copies the data that only the primary has to the second server. If this takes long,
// it continues in the background.
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

// takeOver returns nil once the second server has the users of dead nodes: the dead nodes
// are swept on both servers, and graces on the primary also exist on the second server. All
// nodes must have filled the second server first.
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
	if !second.copied { // this node is late, and the primary may be down already
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

// entered waits until the server has all users of this node.
func (m *mirror) entered(ctx context.Context) error {
	return soon(ctx, func() error { return m.store.Entered(ctx) })
}

// written waits until all changes are written.
func (m *mirror) written(ctx context.Context) error { return soon(ctx, m.pending) }

// soon calls try until it returns nil, for at most catchUp. Its error is [ErrNotYet],
// unless ctx ended.
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
