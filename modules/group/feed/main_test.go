package feed_test

import (
	"testing"

	"github.com/moim-live/moim/internal/childtest"
)

func TestMain(m *testing.M) { childtest.VerifyMain(childtest.Main(m)) }
