package sqlstore_test

import (
	"testing"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

func TestMain(m *testing.M) { childtest.VerifyMain(servicetest.Main(m)) }

func TestSQLite(t *testing.T) {
	t.Parallel()
	grouptest.Run(t, func(t *testing.T) grouptest.Store { return sqlstore.New(servicetest.OpenDatabase(t, "")) })
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	grouptest.Run(t, func(t *testing.T) grouptest.Store {
		return sqlstore.New(servicetest.OpenDatabase(t, servicetest.NewPostgres(t)))
	})
	t.Run("HeldRelay", func(t *testing.T) { t.Parallel(); testHeldRelay(t) })
	t.Run("HeldExpire", func(t *testing.T) { t.Parallel(); testHeldExpire(t) })
	t.Run("HeldReplace", func(t *testing.T) { t.Parallel(); testHeldReplace(t) })
	t.Run("TwoNodes", func(t *testing.T) { t.Parallel(); testTwoNodes(t) })
	t.Run("BusyGroup", func(t *testing.T) { t.Parallel(); testBusyGroup(t) })
}
