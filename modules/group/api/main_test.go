package api_test

import (
	"testing"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

func TestMain(m *testing.M) { childtest.VerifyMain(servicetest.Main(m)) }

// Users that many tests here use.
var (
	user    = servicetest.User
	alice   = user("alice")
	backend = auth.Identity{UserID: "backend", Admin: true}
)
