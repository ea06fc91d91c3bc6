package rediscache_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/moim-live/moim/modules/redisrole"
)

func TestMain(m *testing.M) {
	redisrole.LogTo(quiet)
	goleak.VerifyTestMain(m)
}
