package hook

import (
	"testing"

	"github.com/moim-live/moim/internal/childtest"
)

func TestMain(m *testing.M) { childtest.VerifyMain(m) }
