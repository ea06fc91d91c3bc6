package redisrole_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/moim-live/moim/internal/childtest"
)

func TestMain(m *testing.M) {
	// go-redis looks at a cluster, and dials a server that does not answer, in
	// goroutines that nobody can wait for. They end by themselves within a second
	// after the client was closed.
	childtest.VerifyMain(childtest.Main(m),
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9.(*clusterStateHolder).LazyReload.func1"),
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
