package adapter_test

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/adapter/adaptertest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestMemory(t *testing.T) {
	t.Parallel()
	adaptertest.Run(t, func(*testing.T) [3]adapter.Adapter {
		mesh := adapter.NewMesh()
		return [3]adapter.Adapter{mesh.Adapter(), mesh.Adapter(), mesh.Adapter()}
	})
}
