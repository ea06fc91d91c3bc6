package redisadapter_test

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/redisrole"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/adaptertest"
)

func TestSuiteOnCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3)
	prefix := 0
	var mu sync.Mutex
	adaptertest.Run(t, func(t *testing.T) (opened [3]adapter.Adapter) {
		mu.Lock()
		prefix++
		cfg := redisrole.Config{SocketURL: redistest.Patiently(c.URL()), GroupURL: redistest.Patiently(c.URL()), Prefix: fmt.Sprintf("p%d", prefix)}
		mu.Unlock()
		for i := range opened {
			opened[i] = patientNode(t, cfg, nil).Adapter
		}
		return opened
	})
}

// load publishes continuously from one node to many rooms of another.
type load struct {
	from, to *node
	rooms    []string
}

// startLoad joins rooms and starts to publish.
func startLoad(t *testing.T, url string) *load {
	t.Helper()
	cfg := redisrole.Config{SocketURL: url, GroupURL: url}
	l := &load{from: startNode(t, cfg), to: startNode(t, cfg)}
	for i := range 100 {
		l.rooms = append(l.rooms, "room-"+strconv.Itoa(i))
	}
	l.to.join(t, l.rooms...)
	ctx, stop := context.WithCancel(t.Context())
	var publishing sync.WaitGroup
	publishing.Go(func() {
		tick := time.NewTicker(5 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				room := l.rooms[i%len(l.rooms)]
				publishing.Go(func() { _ = l.from.Publish(ctx, adapter.Envelope{Room: room, Event: "load"}) })
			}
		}
	})
	t.Cleanup(func() {
		stop()
		publishing.Wait()
	})
	l.awaitDelivery(t, "at the beginning")
	return l
}

// awaitDelivery waits until every room receives envelopes that are published from now on.
func (l *load) awaitDelivery(t *testing.T, when string) {
	t.Helper()
	for len(l.to.received) > 0 {
		<-l.to.received
	}
	missing := make(map[string]bool)
	for _, room := range l.rooms {
		missing[room] = true
	}
	deadline := time.After(60 * time.Second)
	for len(missing) > 0 {
		select {
		case env := <-l.to.received:
			delete(missing, env.Room)
		case <-deadline:
			t.Fatalf("%s, %d of %d rooms receive nothing: %v", when, len(missing), len(l.rooms), l.from.Health(t.Context()))
		}
	}
}

// TestClusterChangesUnderLoad kills a master and moves slots while envelopes are published.
func TestClusterChangesUnderLoad(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3)
	l := startLoad(t, c.URL())

	began, lost := time.Now(), l.to.lost.Load()
	from := c.Masters[0]
	to := c.Masters[1]
	var owned []int
	for shard := range 32 {
		if key := fmt.Sprintf("{%d}", shard); c.Owner(key) == from {
			slot, err := from.Client().ClusterKeySlot(t.Context(), key).Result()
			if err != nil {
				t.Fatal(err)
			}
			owned = append(owned, int(slot))
		}
	}
	if len(owned) == 0 {
		t.Fatal("the first master has no shard")
	}
	c.MoveSlots(from, to, owned...)
	waittest.Until(t, "the receiver is told that it may have missed something", func() bool { return l.to.lost.Load() > lost })
	l.awaitDelivery(t, "after slots moved")
	t.Logf("T26: %d shards moved; all rooms receive again after %s", len(owned), time.Since(began).Round(time.Millisecond))

	began, lost = time.Now(), l.to.lost.Load()
	to.Kill()
	waittest.Until(t, "the receiver is told that it may have missed something", func() bool { return l.to.lost.Load() > lost })
	l.awaitDelivery(t, "after a master died")
	t.Logf("a master killed: all rooms receive again after %s", time.Since(began).Round(time.Millisecond))
	for _, n := range []*node{l.from, l.to} {
		waittest.Until(t, "the nodes are well again", func() bool { return n.Health(t.Context()) == nil })
		if n := n.logs.Count("cannot be reached"); n > 4 {
			t.Errorf("logged %d outages", n)
		}
	}
}

// TestT15SentinelFailover replaces a master that only the Sentinels consider dead. It stays up,
// and so do the nodes' connections to it.
func TestT15SentinelFailover(t *testing.T) {
	t.Parallel()
	trio := redistest.StartTrio(t)
	l := startLoad(t, trio.URL())
	first := trio.Master()
	began := time.Now()
	sentinel := redis.NewSentinelClient(&redis.Options{Addr: trio.Sentinels[0].Addr()})
	t.Cleanup(func() { _ = sentinel.Close() })
	if err := sentinel.Failover(t.Context(), "moim-test").Err(); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the replica is the master", func() bool { return trio.Master() != first })
	waittest.Until(t, "it receives what is published", func() bool {
		return trio.Master().Client().PubSubNumSub(t.Context(), "moim:room:room-1").Val()["moim:room:room-1"] > 0
	})
	l.awaitDelivery(t, "after a planned failover")
	t.Logf("T15: planned failover, the old master is alive: all rooms receive again after %s", time.Since(began).Round(time.Millisecond))
}

// TestT15SentinelMasterDies replaces a master that was killed.
func TestT15SentinelMasterDies(t *testing.T) {
	t.Parallel()
	trio := redistest.StartTrio(t)
	l := startLoad(t, trio.URL())
	first := trio.Master()
	began := time.Now()
	first.Kill()
	waittest.Until(t, "the replica is the master", func() bool { return trio.Master() != first })
	l.awaitDelivery(t, "after the master was killed")
	t.Logf("T15: a master killed: all rooms receive again after %s", time.Since(began).Round(time.Millisecond))
}

// TestT15DetachedMaster disconnects the master only from the Sentinels. It stays up as a master
// with all connections of the nodes, and does not learn that another master replaced it.
func TestT15DetachedMaster(t *testing.T) {
	t.Parallel()
	trio := redistest.StartTrio(t)
	l := startLoad(t, trio.URL())
	old := trio.Master()
	admin := old.Client().Conn() // open connections stay open
	t.Cleanup(func() { _ = admin.Close() })
	if err := admin.Do(t.Context(), "config", "set", "requirepass", "nobody knows").Err(); err != nil {
		t.Fatal(err)
	}
	began, lost := time.Now(), l.to.lost.Load()
	clients, err := admin.Do(t.Context(), "client", "list").Text()
	if err != nil {
		t.Fatal(err)
	}
	for client := range strings.Lines(clients) {
		if id, _, _ := strings.Cut(strings.TrimPrefix(client, "id="), " "); strings.Contains(client, " name=sentinel-") {
			if err := admin.Do(t.Context(), "client", "kill", "id", id).Err(); err != nil {
				t.Fatal(err)
			}
		}
	}
	waittest.Until(t, "the replica is the master", func() bool { return trio.Master() != old })
	promoted := time.Since(began)
	waittest.Until(t, "the receiver is told that it may have missed something", func() bool { return l.to.lost.Load() > lost })
	waittest.Until(t, "it receives what is published there", func() bool {
		return trio.Master().Client().PubSubNumSub(t.Context(), "moim:room:room-1").Val()["moim:room:room-1"] > 0
	})
	l.awaitDelivery(t, "after a failover that the old master does not know of")
	if role, err := admin.Do(t.Context(), "role").Slice(); err != nil || role[0] != "master" {
		t.Errorf("the old master is %v, %v: nothing was tested", role, err)
	}
	if left, err := admin.Do(t.Context(), "pubsub", "numsub", "moim:room:room-1").Slice(); err != nil || left[1] != int64(0) {
		t.Errorf("on the old master are still subscribed %v, %v", left, err)
	}
	t.Logf("T15: a detached master lives on: the replica was promoted after %s, all rooms receive again after %s",
		promoted.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
}
