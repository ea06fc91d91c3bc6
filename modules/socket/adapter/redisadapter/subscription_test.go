package redisadapter

import (
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
)

// TestWritingToADeadSubscriptionEnds uses a client without timeouts. A write without a limit
// would also prevent the connection from being closed.
func TestWritingToADeadSubscriptionEnds(t *testing.T) {
	t.Parallel()
	proxy := proxytest.Start(t, redistest.Start(t).Addr())
	client := redis.NewClient(&redis.Options{Addr: proxy.Addr(), ReadTimeout: -1, WriteTimeout: -1})
	t.Cleanup(func() { _ = client.Close() })
	s, err := open(t.Context(), client, false, "probe")
	if err != nil {
		t.Fatal(err)
	}
	proxy.Freeze()
	err = s.change([]string{strings.Repeat("x", 64<<20)}, nil) // more than the kernel buffers
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("writing: %v", err)
	}
	s.close()
	proxy.Heal()
}
