package group

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moim-live/moim/modules/socket/adapter"
)

// story is a program that tells messages in its own words, ends a group's
// subscriptions when the group ends, and makes mistakes.
var story = Translator{Event: func(e Event) Translation {
	data := map[string]any{"version": e.Version}
	switch e.Type {
	case MessagePosted:
		return Translation{Pushes: []Push{{"story:first", data}, {"story:second", data}}}
	case GroupEnded:
		return Translation{Pushes: []Push{{"story:over", data}}, Ends: "over"}
	case MemberJoined:
		return Translation{Pushes: []Push{{"connect", data}, {"", data}, {"group:closed", data}, {"presence:set", data}, {"story:nothing", func() {}}, {"story:joined", data}}}
	case MemberUpdated:
		panic("a mistake of the program")
	default:
		return Translation{}
	}
}}

func translated(f *Feed) { f.Translate(story) }

// TestTranslationsFollowTheirEvents loses, doubles and delays envelopes: what
// the program says of an event comes right after it, as often as it does.
func TestTranslationsFollowTheirEvents(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	cluster := newCluster(t, log, 2, func(a adapter.Adapter) adapter.Adapter { return &flaky{Adapter: a} }, translated)
	early, held := newRecorder(cluster[1].hub, "early"), newRecorder(cluster[1].hub, "held")
	early.follow(t, cluster[1].feed, "g", nil)
	if _, err := cluster[1].feed.Subscribe(t.Context(), held, SubscribeRequest{
		GroupID: "g", Admit: func(Group, *Member) error { return nil },
	}); err != nil {
		t.Fatal(err)
	}
	const posts = 40
	var want []string
	for version := 2; version < 2+posts; version++ {
		cluster[version%2].feed.Announce([]Event{log.post("g", MessagePosted, `{}`)})
		want = append(want, fmt.Sprint("group:event ", version), fmt.Sprint("story:first ", version), fmt.Sprint("story:second ", version))
	}
	early.await(t, func() bool { return early.last() == 1+posts })
	cluster[1].feed.Release(held, "g")
	for _, r := range []*recorder{early, held} {
		r.await(t, func() bool { return len(r.heard()) >= len(want) })
		if got := r.heard(); !slices.Equal(got, want) {
			t.Errorf("%s was told\n%s\nwant\n%s", r.user, strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
}

// TestTranslationEndsSubscriptions ends them on every node, as the last thing
// that subscribers are told.
func TestTranslationEndsSubscriptions(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	cluster := newCluster(t, log, 2, nil, translated)
	here, there := newRecorder(cluster[0].hub, "here"), newRecorder(cluster[1].hub, "there")
	here.follow(t, cluster[0].feed, "g", nil)
	there.follow(t, cluster[1].feed, "g", nil)
	cluster[0].feed.Announce([]Event{log.post("g", GroupEnded, `{}`)})
	for i, r := range []*recorder{here, there} {
		r.await(t, func() bool { return r.closedFor() != "" })
		if got, want := r.heard(), []string{"group:event 2", "story:over 2", "group:closed 0over"}; !slices.Equal(got, want) {
			t.Errorf("%s was told %q, want %q", r.user, got, want)
		}
		if cluster[i].feed.IsSubscribed(r, "g") {
			t.Errorf("%s is still subscribed", r.user)
		}
	}
	cluster[0].feed.Announce([]Event{log.post("g", GroupUpdated, `{}`)})
	here.follow(t, cluster[0].feed, "g", nil) // which is not ended by what it knew of
	cluster[0].feed.Announce([]Event{log.post("g", MessagePosted, `{}`)})
	here.await(t, func() bool { return here.last() == 4 })
}

// TestATranslatorsMistakeCostsNoEvent has a program panic and name events that
// cannot be.
func TestATranslatorsMistakeCostsNoEvent(t *testing.T) {
	t.Parallel()
	log := newMemoryLog()
	log.create("g")
	node := newCluster(t, log, 1, nil, translated)[0]
	r := newRecorder(node.hub, "u")
	r.follow(t, node.feed, "g", nil)
	node.feed.Announce([]Event{log.post("g", MemberUpdated, `{}`), log.post("g", MemberJoined, `{}`)})
	want := []string{"group:event 2", "group:event 3", "story:joined 3"}
	r.await(t, func() bool { return len(r.heard()) >= len(want) })
	if got := r.heard(); !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
}

// TestPresenceIsTranslated has somebody come, drop, return and go because the
// program ended the subscription.
func TestPresenceIsTranslated(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		out := &wire{}
		p := NewPresence(Config{}, NewMemoryPresence(), out, slog.New(slog.DiscardHandler))
		p.Translate(Translator{Presence: func(groupID string, changes []PresenceChange) (pushes []Push) {
			for _, c := range changes {
				if c.UserID == "mistake" {
					panic("a mistake of the program")
				}
				pushes = append(pushes, Push{"group:closed", nil}, Push{"other:event", nil}, Push{"story:" + c.Status, fmt.Sprint(groupID, " ", c.UserID, " ", c.Reason, " ", c.Returned)})
			}
			return pushes
		}})
		if err := p.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := p.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		tell := func(do func()) []string {
			do()
			after(time.Second)
			sent := out.sent
			out.sent = nil
			return sent
		}
		ana := visitor{user: "ana"}
		want(t, "told of a coming", tell(func() { p.Subscribed("g", ana) }),
			[]string{"group:g group:presence", `group:g story:online "g ana  false"`})
		want(t, "told of a drop", tell(func() { p.Unsubscribed("g", ana, endDropped) }),
			[]string{"group:g group:presence", `group:g story:reconnecting "g ana dropped false"`})
		want(t, "told of a return", tell(func() { p.Subscribed("g", ana) }),
			[]string{"group:g group:presence", `group:g story:online "g ana  true"`})
		want(t, "told of the end", tell(func() { p.Unsubscribed("g", ana, "over") }),
			[]string{"group:g group:presence", `group:g story:offline "g ana removed false"`})
		want(t, "told of a mistake", tell(func() { p.Subscribed("g", visitor{user: "mistake"}) }),
			[]string{"group:g group:presence"})
	})
}

// wire is an emitter that keeps what it was given.
type wire struct {
	Emitter
	sent []string
}

// CheckEvent knows a module that has reserved other:.
func (w *wire) CheckEvent(event string) error {
	if strings.HasPrefix(event, "other:") {
		return errors.New("it belongs to another module")
	}
	return nil
}

func (w *wire) Tell(_ context.Context, env adapter.Envelope) {
	text := env.Room + " " + env.Event
	if env.Event != eventPresence {
		text += " " + string(env.Data)
	}
	w.sent = append(w.sent, text)
}

// heard returns every event that the recorder was sent.
func (r *recorder) heard() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.told)
}
