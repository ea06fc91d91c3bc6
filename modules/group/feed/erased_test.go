package feed

import (
	"testing"

	"github.com/moim-live/moim/modules/group"
)

// TestFeedErasedMemberEndsNobody delivers the event of a member who was erased later. It
// names no user, so it must not end a subscription.
func TestFeedErasedMemberEndsNobody(t *testing.T) {
	t.Parallel()
	for _, typ := range []group.EventType{group.MemberLeft, group.MemberRemoved, group.MemberBanned} {
		t.Run(string(typ), func(t *testing.T) {
			t.Parallel()
			log := logOf(3)
			node := newCluster(t, log, 1, nil)[0]
			live, late := newRecorder(node.hub, "live"), newRecorder(node.hub, "late")
			live.follow(t, node.feed, "g", nil)
			node.feed.Announce(t.Context(), []group.Event{log.post("g", typ, `{"userId":null}`)})
			live.await(t, func() bool { return live.last() == log.head("g") })
			late.follow(t, node.feed, "g", new(int64(0)))
			node.feed.Announce(t.Context(), []group.Event{log.post("g", group.MessagePosted, `1`)})
			for _, r := range []*recorder{live, late} {
				r.await(t, func() bool { return r.last() == log.head("g") })
				r.checkOrder(t)
			}
		})
	}
}
