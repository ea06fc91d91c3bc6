package sqlstore

import (
	"context"
	"sync"

	"github.com/moim-live/moim/modules/database"
)

// gates let one change of a group at a time ask for a connection: a busy group
// queues here instead of taking all of the pool's connections to wait for one
// row. Other nodes' changes still meet at the row.
type gates struct {
	mu   sync.Mutex
	open map[string]*gate
}

type gate struct {
	token  chan struct{} // holds one value while someone is inside
	people int           // inside and waiting
}

// enter returns when the caller is the only one inside, and what they call when
// they leave; or fault.ErrUnavailable when ctx ends before that.
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
	at.people++
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
	if at.people--; at.people == 0 {
		delete(g.open, groupID)
	}
}
