package redisadapter_test

import (
	"fmt"
	"strconv"
	"testing"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/redisrole"
)

// TestSizeOfARoom checks what docs/redis.md says about the memory of a room on the server, and
// about the additional memory if two nodes are interested in it.
func TestSizeOfARoom(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	used := func() int {
		n, err := strconv.Atoi(s.Client().InfoMap(t.Context(), "memory").Item("Memory", "used_memory"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const rooms = 20_000
	n := startNode(t, redisrole.Config{URL: s.URL()})
	n.join(t, "r")
	before := used()
	var last <-chan struct{}
	for i := range rooms {
		last = n.Subscribe(fmt.Sprintf("group:0190c0de-0000-7000-8000-%012d", i))
	}
	waittest.Receive(t, "the last interest", last)
	waittest.Until(t, "all rooms are subscribed to", func() bool { return len(s.Client().PubSubChannels(t.Context(), "moim:room:*").Val()) == rooms+1 })
	perRoom := (used() - before) / rooms
	t.Logf("size: %d bytes of Redis a room", perRoom)
	if perRoom > 600 {
		t.Errorf("a room costs %d bytes", perRoom)
	}
}
