package api_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/upkeep"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// TestReadersOfATrimmedLog trims a log by size. A client that asks for removed events must
// be told so, and must continue from a snapshot.
func TestReadersOfATrimmedLog(t *testing.T) {
	t.Parallel()
	servicetest.OnBoth(t, func(t *testing.T, st grouptest.Store) {
		n := newNode(t, st, adapter.NewMesh())
		alice := n.dial(t, "alice")
		g := servicetest.Decode[group.Group](t, alice.call("group:create", `{"name":"g"}`))
		here := `{"groupId":"` + g.ID + `"`
		for range 9 {
			alice.call("group:message", fmt.Sprintf(`%s,"data":%q}`, here, strings.Repeat("x", 30_000)))
		}
		if _, err := st.Trim(t.Context(), upkeep.Retention{Count: 1000, Age: time.Hour, Bytes: 150_000}, 10); err != nil {
			t.Fatal(err)
		}
		caller := auth.Identity{UserID: "alice"}
		_, _, err := n.Events(t.Context(), caller, g.ID, 1, 50)
		servicetest.WantCode(t, "events after version 1", err, "log_truncated")
		if events, version, err := n.Events(t.Context(), caller, g.ID, 8, 50); len(events) != 2 || version != 10 || err != nil {
			t.Errorf("after version 8 there are %d events up to %d, %v", len(events), version, err)
		}
		got := alice.call("group:subscribe", here+`,"since":1}`)
		a := servicetest.Decode[struct {
			Version  int64
			Snapshot bool
		}](t, got)
		if !a.Snapshot || a.Version != 10 {
			t.Errorf("subscribed from version 1: %.200s", got)
		}
		alice.call("group:message", here+`,"data":1}`)
		alice.wantNext("group:event 11 message.posted")
	})
}
