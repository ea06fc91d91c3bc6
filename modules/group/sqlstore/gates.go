package sqlstore

import (
	"context"
	"sync"

	"github.com/moim-live/moim/modules/database"
)

// gates let only one change of each group at a time use a connection. Otherwise, the
// changes of a busy group would take all connections of the pool and wait for one row.
// Changes on other nodes still wait for the row.
type gates struct {
	mu   sync.Mutex
	open map[string]*gate
}

type gate struct {
	token chan struct{} // holds one value while a change is inside
	users int           // changes inside and waiting
}

// enter waits until the caller is the only one inside. The caller must call leave
// afterwards. enter returns fault.ErrUnavailable if ctx ends first.
func (g *gates) enter(ctx context.Context, groupID string) (leave func(), err error) {
	g.mu.Lock()
	if g.open == nil {
		g.open = make(map[string]*gate)
	}
	at := g.open[groupID]
	if at == nil {
		at = &gate{token: make(chan struct{}, 1)}
		g.open[groupID] = at
	}
	at.users++
	g.mu.Unlock()

	select {
	case at.token <- struct{}{}:
		return func() {
			<-at.token
			g.forget(groupID, at)
		}, nil
	case <-ctx.Done():
		g.forget(groupID, at)
		return nil, database.Translate(ctx.Err())
	}
}

func (g *gates) forget(groupID string, at *gate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if at.users--; at.users == 0 {
		delete(g.open, groupID)
	}
}
