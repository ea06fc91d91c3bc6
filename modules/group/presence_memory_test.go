package group_test

import (
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presencetest"
)

func TestMemoryPresence(t *testing.T) {
	t.Parallel()
	presencetest.Run(t, func(*testing.T) []group.PresenceStore { return []group.PresenceStore{group.NewMemoryPresence()} })
}
