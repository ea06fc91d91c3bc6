package redismove

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"

	"github.com/moim-live/moim/modules/group/redispresence"
	"github.com/moim-live/moim/modules/redisrole"
)

// GroupPart is presence where the group role may move. The target begins empty
// and is told by each node who is there on it; what only the source knows, as
// who is waited for, is copied before the target is asked.
type GroupPart struct {
	*redispresence.Bridge

	entering sync.Mutex
	phase    Phase
}

var _ Part = (*GroupPart)(nil)

// NewGroupPart returns presence on the group role's client. It does no I/O.
func NewGroupPart(clients *redisrole.Clients, log *slog.Logger) *GroupPart {
	return &GroupPart{Bridge: redispresence.NewBridge(clients, log)}
}

// Enter implements [Part].
func (p *GroupPart) Enter(ctx context.Context, phase Phase, from, to *redisrole.Clients) error {
	p.entering.Lock()
	defer p.entering.Unlock()
	err := p.enter(ctx, phase, from, to)
	switch {
	case err == nil:
		p.phase = phase
	case errors.Is(err, redispresence.ErrNotYet):
		why := strings.TrimPrefix(err.Error(), redispresence.ErrNotYet.Error()+": ")
		return fmt.Errorf("%w: %s", ErrNotYet, strings.TrimPrefix(why, "redispresence: "))
	}
	return err
}

func (p *GroupPart) enter(ctx context.Context, phase Phase, from, to *redisrole.Clients) error {
	if from.Source(redisrole.Group) == redisrole.Given || to.Source(redisrole.Group) == redisrole.Given {
		return errors.New("the program that embeds this node gave it the group role's client: give it another one")
	}
	forward := phase > p.phase
	if forward && phase != Moved { // a node that cannot reach the target holds the others back
		if err := to.Health(ctx, redisrole.Group); err != nil {
			return err
		}
	}
	switch phase {
	case Settled, Joined:
		return p.Lead(ctx, from, nil)
	case Both:
		if err := p.Lead(ctx, from, to); err != nil || !forward {
			return err
		}
		return p.Filled(ctx)
	case Leaving:
		if err := p.Lead(ctx, from, to); err != nil {
			return err
		}
		if err := p.Overtake(ctx); err != nil {
			return err
		}
		return p.Lead(ctx, to, from)
	case Moved:
		return p.Lead(ctx, to, nil)
	}
	return fmt.Errorf("redismove: this version knows no %s", phase)
}
