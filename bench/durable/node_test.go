package durable

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"go.uber.org/fx"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/feed"
	"github.com/moim-live/moim/modules/limit"
)

// writers is the number of concurrent callers, each with its own group.
const writers = 64

// onBoth runs a benchmark on each database, with commits written to disk. open returns the URL of
// a new database.
func onBoth(b *testing.B, bench func(b *testing.B, open func() string)) {
	b.Run("SQLite", func(b *testing.B) {
		bench(b, func() string { return "sqlite:" + b.TempDir() + "/moim.db" })
	})
	b.Run("PostgreSQL", func(b *testing.B) {
		server := pgtest.Start(b, "fsync = on", "full_page_writes = on")
		bench(b, func() string { return server.NewDatabase(b) })
	})
}

// node is Moim as in production, but without HTTP.
type node struct {
	*group.Service
	feed   *feed.Feed
	db     *database.DB
	groups []string // one for each writer
	stop   func()
}

// startNode runs a node on a database and creates the groups. The node runs until the benchmark
// ends or stop is called.
func startNode(b *testing.B, url string) *node {
	b.Helper()
	var cfg config.Config
	cfg.Auth.Secret = "for-benchmarks-alone-for-benchmarks-alone"
	cfg.Data.Dir, cfg.Database.URL = b.TempDir(), url
	// Limits are on, but high, because each writer makes the calls of many users.
	all := limit.Quota{Number: limit.NoRate, Bytes: limit.ByteRate(limit.NoRate)}
	cfg.Limit = limit.Config{UserMessages: all, UserDeliveries: all, UserReads: limit.NoRate, UserJoins: limit.NoRate}
	n := &node{}
	program := fx.New(
		fx.NopLogger,
		fx.Supply(slog.New(slog.DiscardHandler)),
		app.Module(cfg),
		fx.Populate(&n.Service, &n.feed, &n.db),
	)
	if err := program.Start(b.Context()); err != nil {
		b.Fatal(err)
	}
	stopped := false
	n.stop = func() {
		if stopped {
			return
		}
		stopped = true
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := program.Stop(ctx); err != nil {
			b.Error(err)
		}
	}
	b.Cleanup(n.stop)
	for w := range writers {
		g, err := n.Create(b.Context(), owner(w), dto.CreateRequest{
			Name: fmt.Sprintf("Study room %d", w), Visibility: "public", JoinPolicy: "open",
		})
		if err != nil {
			b.Fatal(err)
		}
		n.groups = append(n.groups, g.ID)
	}
	return n
}

// settle waits until all events are marked as published.
func (n *node) settle(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		var waiting bool
		err := n.db.View(ctx, func(ctx context.Context, q database.Querier) error {
			return q.QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM outbox)`).Scan(&waiting)
		})
		if err != nil || !waiting {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func owner(w int) auth.Identity {
	id := fmt.Sprintf("owner-%d", w)
	return auth.Identity{UserID: id, Name: id}
}

// text is the posted message, a chat message of usual length.
var text = dto.MessageRequest{Data: json.RawMessage(
	`{"text":"I bring the tea, and whoever comes last brings the cake. We start at seven, in the room on the left.","lang":"en"}`)}
