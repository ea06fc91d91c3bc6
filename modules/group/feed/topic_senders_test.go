package feed

import (
	"testing"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
)

func TestFeedKnowsSenders(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	feed := newCluster(t, log, 1, nil)[0]
	alice, bob, back := auth.Identity{UserID: "alice"}, auth.Identity{UserID: "bob"}, auth.Identity{UserID: "back", Admin: true}
	may := func(want string) {
		t.Helper()
		got := ""
		for _, caller := range []auth.Identity{alice, bob, back} {
			if feed.feed.MaySend(caller, "g") {
				got += caller.UserID + " "
			}
		}
		if got != want {
			t.Errorf("%q may signal, want %q", got, want)
		}
	}
	head := func() int64 { return log.head("g") }
	announce := func(typ group.EventType, data string) { feed.feed.Announce([]group.Event{log.post("g", typ, data)}) }

	feed.feed.Found(alice, "g", head())
	may("") // nobody follows the group here
	s := newRecorder(feed.hub, "s")
	s.follow(t, feed.feed, "g", nil)
	may("back ")
	feed.feed.Found(alice, "g", head())
	feed.feed.Found(bob, "g", head())
	may("alice bob back ")

	found := head()
	announce(group.MemberLeft, `{"userId":"alice"}`)
	may("bob back ")
	feed.feed.Found(alice, "g", found) // read before she left
	may("bob back ")

	announce(group.GroupEnded, `{}`)
	may("")
	announce(group.GroupUpdated, `{"endsAt":null}`)
	may("bob back ")
	announce(group.GroupDeleted, `{}`)
	may("")
}

func TestFeedBoundsSenders(t *testing.T) {
	t.Parallel()
	topic := newTopic(nil, "g")
	topic.known = true
	for i := range 3 * maxSenders {
		topic.found(groupName(i), 1)
	}
	if n := len(topic.senders); n > maxSenders {
		t.Errorf("%d are remembered", n)
	}
}
