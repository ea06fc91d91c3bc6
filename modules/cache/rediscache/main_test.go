package rediscache_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/redisrole"
)

func TestMain(m *testing.M) {
	redisrole.LogTo(quiet)
	// After its client was closed, go-redis tries to reach a killed server for up to a second.
	childtest.VerifyMain(childtest.Main(m), goleak.IgnoreAnyFunction("github.com/redis/go-redis/v9/internal/pool.(*ConnPool).tryDial"))
}
