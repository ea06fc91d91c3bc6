package redisrole_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/moim-live/moim/internal/childtest"
)

func TestMain(m *testing.M) {
	// go-redis inspects clusters and dials servers in goroutines that the tests cannot wait for.
	// They end within a second after the client was closed.
	childtest.VerifyMain(childtest.Main(m),
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9.(*clusterStateHolder).LazyReload.func1"),
		goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
