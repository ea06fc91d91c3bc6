package e2e

import (
	"errors"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/redistest"
)

// TestPgBouncer checks that two nodes can share a database through PgBouncer, which runs each
// transaction on any free connection. No call may fail.
func TestPgBouncer(t *testing.T) {
	t.Parallel()
	server, redis := pgtest.Start(t), redistest.Start(t)
	named, err := pgx.ParseConfig(server.NewDatabase(t))
	if err != nil {
		t.Fatal(err)
	}
	url := server.URLVia(server.Bouncer(t), named.Database)
	var nodes []*node
	for range 2 { // both nodes migrate at the same time
		n := newNode(t, "MOIM_AUTH_SECRET="+secret, "MOIM_DATABASE_URL="+url, "MOIM_REDIS_URL="+redis.URL())
		n.run()
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		if err := n.ready(); err != nil {
			t.Fatal(err)
		}
	}
	const users, rounds = 6, 100
	var all sync.WaitGroup
	for i := range users {
		all.Go(func() {
			user := api{base: nodes[i%2].URL(), token: mint("user"+string(rune('a'+i)), time.Hour)}
			other := user
			other.base = nodes[(i+1)%2].URL()
			var g group
			_, err := user.do(t.Context(), http.MethodPost, "/groups", object{"name": "pooled"}, &g)
			for n := 0; n < rounds && err == nil; n++ {
				_, posted := user.do(t.Context(), http.MethodPost, "/groups/"+g.ID+"/messages", object{"data": n}, nil)
				_, read := other.do(t.Context(), http.MethodGet, "/groups/"+g.ID+"/events?limit=5", nil, nil)
				_, listed := other.do(t.Context(), http.MethodGet, "/me/groups", nil, nil)
				err = errors.Join(posted, read, listed)
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	for _, n := range nodes {
		for line := range strings.Lines(n.log.String()) {
			if strings.Contains(line, `"WARN"`) || strings.Contains(line, `"ERROR"`) {
				t.Errorf("%s logs %s", n.name, line)
			}
		}
		if !strings.Contains(n.log.String(), "go through a pooler") {
			t.Errorf("%s has not detected the pooler", n.name)
		}
	}
}
