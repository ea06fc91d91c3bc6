package redismove

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter/redisadapter"
)

// takeTimeout bounds how long a phase waits for the target.
const takeTimeout = 2 * time.Second

// SocketPart is a node's way to the others where the socket role may move.
// Nothing is stored there: what counts is that no envelope goes where a node
// does not listen. So every node listens on both servers before any publishes
// to the target, and publishes to both until every node does without the
// source.
type SocketPart struct {
	adapter *redisadapter.Adapter

	entering sync.Mutex
	phase    Phase
}

var _ Part = (*SocketPart)(nil)

// NewSocketPart returns the part of an adapter.
func NewSocketPart(a *redisadapter.Adapter) *SocketPart { return &SocketPart{adapter: a} }

// Enter implements [Part].
func (p *SocketPart) Enter(ctx context.Context, phase Phase, from, to *redisrole.Clients) error {
	p.entering.Lock()
	defer p.entering.Unlock()
	for _, c := range []*redisrole.Clients{from, to} {
		if c.Source(redisrole.Socket) == redisrole.Given {
			return errors.New("the program that embeds this node gave it the socket role's client: give it another one")
		}
	}
	var route redisadapter.Route
	switch phase {
	case Settled:
		route = redisadapter.Route{Main: from}
	case Joined:
		route = redisadapter.Route{Main: from, Also: to}
	case Both:
		route = redisadapter.Route{Main: from, Also: to, Both: true}
	case Leaving: // a node may be in the phase before, or in the one after
		route = redisadapter.Route{Main: to, Also: from, Both: true}
	case Moved:
		route = redisadapter.Route{Main: to}
	default:
		return fmt.Errorf("redismove: this version knows no %s", phase)
	}
	route.Check = phase > p.phase && phase != Moved // a node that cannot use the target holds the others back
	ctx, cancel := context.WithTimeout(ctx, takeTimeout)
	defer cancel()
	err := p.adapter.Take(ctx, route)
	switch {
	case errors.Is(err, redisadapter.ErrBehind):
		return fmt.Errorf("%w: not all rooms are subscribed to on the new server", ErrNotYet)
	case err != nil:
		return err
	}
	p.phase = phase
	return nil
}
