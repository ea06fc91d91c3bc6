package transfer_test

import (
	"testing"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

func TestMain(m *testing.M) { childtest.VerifyMain(servicetest.Main(m)) }
