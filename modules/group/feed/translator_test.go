package feed

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// story is a program's translator. It adds pushes to messages, ends subscriptions when the
// group ends, and makes mistakes.
var story = group.Translator{Event: func(e group.Event) group.Translation {
	data := map[string]any{"version": e.Version}
	switch e.Type {
	case group.MessagePosted:
		return group.Translation{Pushes: []group.Push{{Event: "story:first", Data: data}, {Event: "story:second", Data: data}}}
	case group.GroupEnded:
		return group.Translation{Pushes: []group.Push{{Event: "story:over", Data: data}}, Ends: "over"}
	case group.MemberJoined:
		return group.Translation{Pushes: []group.Push{{Event: "connect", Data: data}, {Event: "", Data: data}, {Event: "group:closed", Data: data}, {Event: "presence:set", Data: data}, {Event: "story:nothing", Data: func() {}}, {Event: "story:joined", Data: data}}}
	case group.MemberUpdated:
		panic("a mistake of the program")
	default:
		return group.Translation{}
	}
}}

func translated(f *Feed) { f.Translate(story) }

// TestTranslationsFollowTheirEvents loses, duplicates and delays envelopes. A translation
// must come right after its event, exactly as often as the event.
func TestTranslationsFollowTheirEvents(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	cluster := newCluster(t, log, 2, func(a adapter.Adapter) adapter.Adapter { return &flaky{Adapter: a} }, translated)
	early, held := newRecorder(cluster[1].hub, "early"), newRecorder(cluster[1].hub, "held")
	early.follow(t, cluster[1].feed, "g", nil)
	if _, err := cluster[1].feed.Subscribe(t.Context(), held, SubscribeRequest{
		GroupID: "g", Admit: func(group.Group, *group.Member) error { return nil },
	}); err != nil {
		t.Fatal(err)
	}
	const posts = 40
	var want []string
	for version := 2; version < 2+posts; version++ {
		cluster[version%2].feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
		want = append(want, fmt.Sprint("group:event ", version), fmt.Sprint("story:first ", version), fmt.Sprint("story:second ", version))
	}
	early.await(t, func() bool { return early.last() == 1+posts })
	cluster[1].feed.Release(held, "g")
	for _, r := range []*recorder{early, held} {
		r.await(t, func() bool { return len(r.heard()) >= len(want) })
		if got := r.heard(); !slices.Equal(got, want) {
			t.Errorf("%s received\n%s\nwant\n%s", r.user, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestTranslationEndsSubscriptions checks that a translation ends subscriptions on every
// node, as the last message to subscribers.
func TestTranslationEndsSubscriptions(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	cluster := newCluster(t, log, 2, nil, translated)
	here, there := newRecorder(cluster[0].hub, "here"), newRecorder(cluster[1].hub, "there")
	here.follow(t, cluster[0].feed, "g", nil)
	there.follow(t, cluster[1].feed, "g", nil)
	cluster[0].feed.Announce(context.Background(), []group.Event{log.post("g", group.GroupEnded, `{}`)})
	for i, r := range []*recorder{here, there} {
		r.await(t, func() bool { return r.closedFor() != "" })
		if got, want := r.heard(), []string{"group:event 2", "story:over 2", "group:closed 0over"}; !slices.Equal(got, want) {
			t.Errorf("%s received %q, want %q", r.user, got, want)
		}
		if cluster[i].feed.IsSubscribed(r, "g") {
			t.Errorf("%s is still subscribed", r.user)
		}
	}
	cluster[0].feed.Announce(context.Background(), []group.Event{log.post("g", group.GroupUpdated, `{}`)})
	here.follow(t, cluster[0].feed, "g", nil) // the earlier event must not end this new subscription
	cluster[0].feed.Announce(context.Background(), []group.Event{log.post("g", group.MessagePosted, `{}`)})
	here.await(t, func() bool { return here.last() == 4 })
}

// TestATranslatorsMistakeCostsNoEvent has a translator that panics and returns invalid
// event names. No event may be lost.
func TestATranslatorsMistakeCostsNoEvent(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	node := newCluster(t, log, 1, nil, translated)[0]
	r := newRecorder(node.hub, "u")
	r.follow(t, node.feed, "g", nil)
	node.feed.Announce(context.Background(), []group.Event{log.post("g", group.MemberUpdated, `{}`), log.post("g", group.MemberJoined, `{}`)})
	want := []string{"group:event 2", "group:event 3", "story:joined 3"}
	r.await(t, func() bool { return len(r.heard()) >= len(want) })
	if got := r.heard(); !slices.Equal(got, want) {
		t.Errorf("received %q, want %q", got, want)
	}
}

// heard returns every message that the recorder got.
func (r *recorder) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}
