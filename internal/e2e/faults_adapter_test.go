package e2e

import (
	"context"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/moim-live/moim/app"
	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/toggle"
	"github.com/moim-live/moim/modules/limit"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/adaptertest"
)

// startFaulty runs nodes in this process on one PostgreSQL. The adapter between them has these
// faults. A program that embeds Moim uses its own adapter in the same way.
func startFaulty(t *testing.T, nodes int, rates adaptertest.Rates) (*deployment, []*adaptertest.Faulty) {
	t.Helper()
	d := &deployment{driver: startDriver(t), token: func(user string) string { return mint(user, time.Hour) }}
	mesh, url := adapter.NewMesh(), pgtest.Start(t).NewDatabase(t)
	var adapters []*adaptertest.Faulty
	for i := range nodes {
		cfg := config.Config{Limit: limit.Config{Enabled: toggle.Off}} // one user makes the calls of many
		cfg.Database.URL, cfg.Data.Dir, cfg.Auth.Secret, cfg.HTTP.Addr = url, t.TempDir(), secret, "127.0.0.1:0"
		faulty := adaptertest.NewFaulty(mesh.Adapter(), uint64(i+1), rates)
		server, err := app.NewServer(cfg, app.WithLogger(slog.New(slog.DiscardHandler)), app.WithAdapter(faulty))
		if err != nil {
			t.Fatal(err)
		}
		if err := server.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), stopWithin)
			defer cancel()
			if err := server.Stop(ctx); err != nil {
				t.Errorf("stop node %d: %v", i, err)
			}
		})
		d.nodes = append(d.nodes, &node{t: t, name: "n" + strconv.Itoa(i), addr: server.Addr()})
		adapters = append(adapters, faulty)
	}
	return d, adapters
}

// TestT19FaultyAdapter loses 5 % of the messages between three nodes, doubles 5 %, delays 5 % by
// up to 300 ms and reorders 5 %. Every session must see every event once and in order (T18, T65),
// even if it subscribes while messages are posted (T66).
func TestT19FaultyAdapter(t *testing.T) {
	t.Parallel()
	d, adapters := startFaulty(t, 3, adaptertest.Rates{Drop: 0.05, Double: 0.05, Delay: 0.05, Reorder: 0.05, MaxDelay: 300 * time.Millisecond})
	f := newFleet(t, d, 4, 9)
	l := startLoad(t, d, f.groups, 8, 200)
	for i, enough := 0, inSoak[int64](800, 100000); l.acked.Load() < enough; i++ {
		late := d.ws(t, i, "ana")
		late.resume(f.groups[i%len(f.groups)], int64(1+i%5))
		at := l.acked.Load()
		need(t, patience, "messages flow", func() bool { return l.acked.Load() >= min(at+50, enough) })
	}
	l.stop()
	f.needEveryEventOnce(0)
	lost, doubled := l.needEachOnce(f.streams())
	var counts adaptertest.Counts
	for _, a := range adapters {
		counts = counts.Plus(a.Counts())
	}
	if counts.Dropped == 0 || counts.Doubled == 0 || counts.Delayed == 0 || counts.Reordered == 0 {
		t.Errorf("%s: not every fault happened", counts)
	}
	worst := latest(f.sessions)
	if worst > catchUp {
		t.Errorf("an event was %s late", worst)
	}
	t.Logf("T19: %s; %d messages to %d sessions on %d nodes, %d lost, %d doubled; worst lateness %s",
		counts, l.acked.Load(), len(f.sessions), len(d.nodes), lost, doubled, worst)
}
