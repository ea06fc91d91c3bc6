package redistest_test

import (
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/redistest"
)

func TestTrioFailsOver(t *testing.T) {
	t.Parallel()
	trio := redistest.StartTrio(t)
	first := trio.Master()
	if first != trio.Servers[0] {
		t.Fatal("the master is not the first server")
	}
	first.Kill()
	deadline := time.Now().Add(30 * time.Second)
	for trio.Master() == first {
		if time.Now().After(deadline) {
			t.Fatal("no replica replaced the master")
		}
	}
}

func TestClusterServesAndMovesSlots(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3)
	addrs := strings.Split(strings.TrimPrefix(c.URL(), "redis+cluster://"), ",")
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: addrs})
	defer client.Close()
	if err := client.Set(t.Context(), "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	slot := int(client.ClusterKeySlot(t.Context(), "k").Val())
	from := c.Owner("k")
	to := c.Masters[0]
	if to == from {
		to = c.Masters[1]
	}
	c.MoveSlots(from, to, slot)
	if got := client.Get(t.Context(), "k").Val(); got != "v" || c.Owner("k") != to {
		t.Errorf("after the move: %q", got)
	}
}
