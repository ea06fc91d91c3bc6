package feed

import (
	"context"
	"slices"
	"testing"

	"github.com/moim-live/moim/modules/group"
)

// TestFeedForgetsReplacedData edits and deletes messages while one subscriber has not
// caught up. That subscriber must get the new data, never the old. A live subscriber
// already has the old data and gets the events.
func TestFeedForgetsReplacedData(t *testing.T) {
	t.Parallel()
	for _, typ := range []group.EventType{group.MessageEdited, group.MessageDeleted} {
		t.Run(string(typ), func(t *testing.T) {
			t.Parallel()
			log := logOf(3)
			node := newCluster(t, log, 1, nil)[0]
			live, held := newRecorder(node.hub, "live"), newRecorder(node.hub, "held")
			live.follow(t, node.feed, "g", nil)
			admit := func(group.Group, *group.Member) error { return nil }
			if _, err := node.feed.Subscribe(t.Context(), held, SubscribeRequest{GroupID: "g", Admit: admit}); err != nil {
				t.Fatal(err)
			}
			message := log.post("g", group.MessagePosted, `"as it was"`)
			node.feed.Announce(context.Background(), []group.Event{message})
			live.await(t, func() bool { return live.last() == message.Version })
			log.replace("g", message.Version, `"as it is"`)
			node.feed.Announce(context.Background(), []group.Event{log.post("g", typ, `"replaced"`)})
			live.await(t, func() bool { return live.last() == log.head("g") })

			node.feed.Release(held, "g")
			held.await(t, func() bool { return held.last() == log.head("g") })
			for r, want := range map[*recorder][]string{
				live: {`"as it was"`, `"replaced"`},
				held: {`"as it is"`, `"replaced"`},
			} {
				r.checkOrder(t)
				r.mu.Lock()
				if !slices.Equal(r.data, want) {
					t.Errorf("%s received %v, want %v", r.user, r.data, want)
				}
				r.mu.Unlock()
			}
		})
	}
}
