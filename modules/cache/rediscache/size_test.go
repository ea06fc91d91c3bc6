package rediscache_test

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/modules/cache"
)

// TestSizeOfAnEntry checks what docs/redis.md says about the memory of a cached record on the
// server, besides its data.
func TestSizeOfAnEntry(t *testing.T) {
	t.Parallel()
	server := redistest.Start(t)
	_, tier := node(t, server.URL(), "n1")
	used := func() int {
		n, err := strconv.Atoi(server.Client().InfoMap(t.Context(), "memory").Item("Memory", "used_memory"))
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const entries, bytes = 5000, 500
	data := []byte(strings.Repeat("x", bytes))
	tier.Set(t.Context(), "first", cache.Entry{Revision: 1, Data: data}, time.Minute)
	before := used()
	for i := range entries {
		tier.Set(t.Context(), fmt.Sprintf("group:0190c0de-0000-7000-8000-%012d", i), cache.Entry{Revision: 1, Data: data}, time.Minute)
	}
	each := (used() - before) / entries
	t.Logf("size: %d bytes of Redis an entry of %d bytes", each, bytes)
	if each > bytes+400 {
		t.Errorf("an entry costs %d bytes", each)
	}
}
