package rediscache_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/redisrole"
)

func TestMain(m *testing.M) {
	redisrole.LogTo(quiet)
	// go-redis looks for a server that was killed for up to a second after its
	// client was closed.
	childtest.VerifyMain(childtest.Main(m), goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
