package redispresence

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/redisrole"
)

var errCopying = errors.New("redispresence: what the old server knows of groups is being copied")

var errSame = errors.New("the new server is the one that is in use, by another name: change the configuration instead")

// Lead makes the bridge ask one server and write another as well, or none when
// also is nil. Before it asks a server it has written that one: who wants to
// change it calls Lead for both first, on all nodes, and Filled.
//
// The error is [ErrNotYet] while that takes its time; after any error the
// server that is asked is the one before. Call it again.
func (b *Bridge) Lead(ctx context.Context, asked, also *redisrole.Clients) error {
	b.entering.Lock()
	defer b.entering.Unlock()
	b.mu.Lock()
	if b.stopped {
		b.mu.Unlock()
		return errStopped
	}
	if !b.started { // nobody is here yet
		b.asked, b.second = served{asked, b.open(asked)}, nil
		if also != nil {
			b.second = b.newFollower(also)
		}
		b.mu.Unlock()
		return nil
	}
	at, second := b.asked, b.second
	b.mu.Unlock()
	if at.at != asked {
		if second == nil || second.at != asked {
			if err := b.write(ctx, asked, true); err != nil {
				return err
			}
		}
		if err := b.swap(ctx); err != nil {
			return err
		}
	}
	return b.write(ctx, also, false)
}

func (b *Bridge) newFollower(at *redisrole.Clients) *follower {
	store := b.open(at)
	store.fresh = true
	return newFollower(served{at, store}, b.said.addAll)
}

// write makes a server the one that is written as well. In a hurry, because the
// others have left the one that is asked, that one may be dead.
func (b *Bridge) write(ctx context.Context, at *redisrole.Clients, hurry bool) error {
	asked, second := b.servers()
	if second != nil && second.at == at || second == nil && at == nil {
		return nil
	}
	if second != nil {
		if err := b.take(ctx); err != nil {
			return err
		}
		b.mu.Lock()
		b.second = nil
		b.mu.Unlock()
		b.give()
		b.leave(ctx, asked, second)
	}
	if at == nil {
		return nil
	}
	states, err := asked.store.statesHere(ctx)
	if err != nil && !hurry {
		return err
	}
	f := b.newFollower(at)
	if err := b.take(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	b.second = f // from now on it is told of changes
	b.mu.Unlock()
	f.store.adopt(asked.store, states)
	b.give()
	f.start()
	b.startStore(context.WithoutCancel(ctx), f.store) // a store starts once
	return nil
}

// leave stops the store on a server that is written no more. It waits: who
// comes back to that server begins anew.
func (b *Bridge) leave(ctx context.Context, asked served, second *follower) {
	second.stop()
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTime)
	defer cancel()
	leave := second.store.leave
	if same(asked.store, second.store) {
		leave = second.store.Stop
	}
	if err := leave(ctx); err != nil {
		b.log.Debug("redispresence: a server that is left does not answer", "err", err)
	}
}

// same reports whether two stores have the same data.
func same(a, b *Store) bool {
	epoch := a.identity().epoch
	return epoch != "" && epoch == b.identity().epoch
}

// Filled returns nil once the server that is written as well knows all that
// the one that is asked does of this node's users.
func (b *Bridge) Filled(ctx context.Context) error {
	b.entering.Lock()
	defer b.entering.Unlock()
	asked, second := b.servers()
	if !b.started || second == nil {
		return nil
	}
	return b.filled(ctx, asked, second)
}

func (b *Bridge) filled(ctx context.Context, asked served, second *follower) error {
	if err := second.at.Health(ctx, redisrole.Group); err != nil {
		return err
	}
	if err := second.entered(ctx); err != nil {
		return notYet(err)
	}
	if same(asked.store, second.store) {
		return errSame
	}
	if err := second.drained(ctx); err != nil {
		return notYet(err)
	}
	if second.copied {
		return nil
	}
	if second.copying == nil {
		done := make(chan error, 1)
		second.copying = done
		b.tasks.Run(func(ctx context.Context) {
			err := asked.store.copyLately(ctx, second.store)
			if err == nil {
				err = asked.store.copyGraces(ctx, second.store)
			}
			done <- err
		})
	}
	limit := time.NewTimer(catchUp)
	defer limit.Stop()
	select {
	case err := <-second.copying:
		second.copying, second.copied = nil, err == nil
		return err
	case <-limit.C:
		return notYet(errCopying)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Overtake makes sure that the server that is written as well misses nobody
// whom nodes that are gone have left to the one that is asked: those are swept,
// and graces that are running run there, too. Call it when every node has
// filled it and before it is the one that is asked.
func (b *Bridge) Overtake(ctx context.Context) error {
	b.entering.Lock()
	defer b.entering.Unlock()
	asked, second := b.servers()
	if !b.started || second == nil {
		return nil
	}
	if err := b.filled(ctx, asked, second); err != nil {
		return err
	}
	here, dead, err := asked.store.census(ctx)
	if err != nil {
		return err
	}
	there, unswept, err := second.store.census(ctx)
	if err != nil {
		return err
	}
	if dead+unswept > 0 || here != there {
		return notYet(fmt.Errorf("members of nodes that are gone are looked after: %d nodes there, %d here, %d to sweep", here, there, dead+unswept))
	}
	return asked.store.copyGraces(ctx, second.store)
}

// swap makes the server that is written as well the one that is asked, and the
// other way round.
func (b *Bridge) swap(ctx context.Context) error {
	_, second := b.servers()
	if err := second.entered(ctx); err != nil {
		return notYet(err)
	}
	if err := b.take(ctx); err != nil {
		return err
	}
	defer b.give()
	for {
		if err := second.drained(ctx); err != nil {
			return notYet(err)
		}
		b.mu.Lock()
		if second.owesNothing() { // no live state was set meanwhile
			break
		}
		b.mu.Unlock()
	}
	before := b.asked
	b.asked = served{second.at, second.store}
	b.second = newFollower(before, b.said.addAll)
	b.second.copied = true
	b.second.start()
	b.mu.Unlock()
	second.stop()
	return nil
}

// notYet says what is waited for.
func notYet(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("%w: %w", ErrNotYet, err)
}
