package feed

import (
	"context"
	"slices"
	"testing"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
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
	announce := func(typ group.EventType, data string) {
		feed.feed.Announce(context.Background(), []group.Event{log.post("g", typ, data)})
	}

	feed.feed.Found(alice, "g", head())
	may("") // nobody on this node follows the group
	s := newRecorder(feed.hub, "s")
	s.follow(t, feed.feed, "g", nil)
	may("back ")
	feed.feed.Found(alice, "g", head())
	feed.feed.Found(bob, "g", head())
	may("alice bob back ")

	found := head()
	announce(group.MemberLeft, `{"userId":"alice"}`)
	may("bob back ")
	feed.feed.Found(alice, "g", found) // read before alice left
	may("bob back ")

	feed.feed.Found(alice, "g", head())
	for _, typ := range []group.EventType{group.MemberMuted, group.MemberUpdated} {
		feed.feed.Found(bob, "g", head())
		found := head()
		announce(typ, `{"userId":"bob"}`)
		may("alice back ")
		feed.feed.Found(bob, "g", found)
		may("alice back ")
	}
	announce(group.MemberLeft, `{"userId":"alice"}`)
	feed.feed.Found(bob, "g", head()) // the database says that bob may signal again
	may("bob back ")

	announce(group.GroupEnded, `{}`)
	may("")
	announce(group.GroupUpdated, `{"endsAt":null}`)
	may("bob back ")
	announce(group.GroupDeleted, `{}`)
	may("")
}

// TestFeedKnowsSubscribersWhoSignal checks that a subscriber's right to signal is taken
// from the membership that the feed knows. After an event that may change it, the database
// must be asked.
func TestFeedKnowsSubscribersWhoSignal(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	node := newCluster(t, log, 1, nil)[0]
	subscribe := func(user string, signals, backend bool) *recorder {
		t.Helper()
		s := newRecorder(node.hub, user)
		_, err := node.feed.Subscribe(t.Context(), s, SubscribeRequest{
			GroupID: "g", Backend: backend,
			Admit:   func(group.Group, *group.Member) error { return nil },
			Signals: func(group.Group, *group.Member) bool { return signals },
		})
		if err != nil {
			t.Fatal(err)
		}
		node.feed.Release(s, "g")
		return s
	}
	alice, bob, muted, back := subscribe("alice", true, false), subscribe("bob", true, false), subscribe("muted", false, false), subscribe("bob", false, true)
	want := func(want ...*recorder) {
		t.Helper()
		for _, s := range []*recorder{alice, bob, muted, back} {
			if got := node.feed.MaySignal(s, "g"); got != slices.Contains(want, s) {
				t.Errorf("%s may signal: %v", s.user, got)
			}
			if !node.feed.GoesOn(s, "g") {
				t.Errorf("%s does not follow the group", s.user)
			}
		}
	}
	want(alice, bob, back)
	node.feed.Announce(context.Background(), []group.Event{log.post("g", group.MemberMuted, `{"userId":"bob"}`)})
	want(alice, back)
	node.feed.Announce(context.Background(), []group.Event{log.post("g", group.MemberUpdated, `{"userId":"alice","role":"member"}`)})
	want(back)
	bob = subscribe("bob", true, false)
	want(bob, back)
	node.feed.Announce(context.Background(), []group.Event{log.post("g", group.GroupUpdated, `{"attributes":{"posting":"x"}}`)})
	want(bob, back)
	node.feed.Found(auth.Identity{UserID: "carol"}, "g", log.head("g"))
	node.feed.Announce(context.Background(), []group.Event{log.post("g", group.GroupUpdated, `{"posting":"admins"}`)})
	want(back)
	if node.feed.MaySend(auth.Identity{UserID: "carol"}, "g") {
		t.Error("a member may signal although only admins may")
	}
}

// TestFeedDoubtsAnOldMembership delivers a mute while a read returns the subscriber's
// membership from before the mute. The feed must not trust that membership.
func TestFeedDoubtsAnOldMembership(t *testing.T) {
	t.Parallel()
	topic := newTopic(&Feed{}, "g")
	topic.known, topic.head = true, 5
	sub := &subscription{socket: newRecorder(adapter.NewHub(adapter.NewMesh().Adapter()), "bob")}
	topic.subs[sub.socket] = sub
	for version, want := range map[int64]bool{4: false, 5: true} {
		if !topic.admit(sub, &excerpt{}, Subscription{Group: group.Group{Version: version}}, true) || sub.signals != want {
			t.Errorf("with a membership of version %d in a group at version 5, the user may signal: %v", version, sub.signals)
		}
	}
}

func TestFeedBoundsSenders(t *testing.T) {
	t.Parallel()
	topic := newTopic(nil, "g")
	topic.known = true
	for i := range 3 * maxSenders {
		topic.found(groupName(i), 1)
	}
	if n := len(topic.senders); n > maxSenders {
		t.Errorf("%d senders are kept", n)
	}
}
