package presence_test

import (
	"testing"

	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/group/presencetest"
)

func TestMemoryPresence(t *testing.T) {
	t.Parallel()
	presencetest.Run(t, func(*testing.T) []presence.Store { return []presence.Store{presence.NewMemory()} })
}
