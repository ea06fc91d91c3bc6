package group_test

import (
	"context"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
)

// crowd is who is there.
type crowd []group.Present

func (c crowd) List(context.Context, string) ([]group.Present, error) { return c, nil }

func (c crowd) Count(_ context.Context, groupIDs []string) ([]int, error) {
	counts := make([]int, len(groupIDs))
	for i := range counts {
		counts[i] = len(c)
	}
	return counts, nil
}

func (c crowd) SetState(_ context.Context, _, userID string, state json.RawMessage) error {
	for i := range c {
		if c[i].UserID == userID {
			c[i].State = state
		}
	}
	return nil
}

func TestPresenceInAnswers(t *testing.T) {
	t.Parallel()
	b := newBench(t, group.Config{})
	g := b.group(t, `{"name":"g"}`)
	there := crowd{{UserID: "admin", Status: "online"}, {UserID: "member", Status: "reconnecting"}}
	for range 150 {
		there = append(there, group.Present{UserID: "u", Status: "online"})
	}
	s := group.NewService(group.Config{}, group.Deps{Repository: b.store, Log: b.store, Presence: there})

	members, _, err := s.Members(t.Context(), alice, g.ID, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	statuses := map[string]string{}
	for _, m := range members {
		statuses[m.UserID] = m.Status
	}
	if diff := cmp.Diff(map[string]string{"admin": "online", "alice": "offline", "member": "reconnecting", "other": "offline"}, statuses); diff != "" {
		t.Error(diff)
	}
	if sum := s.Summary(t.Context(), g.ID); sum.Online != 151 || len(sum.Items) != 100 {
		t.Errorf("%d online, %d named", sum.Online, len(sum.Items))
	}
	if items, err := s.Presence(t.Context(), alice, g.ID); err != nil || len(items) != len(there) {
		t.Errorf("%d there, %v", len(items), err)
	}
	_, err = s.Presence(t.Context(), user("outsider"), g.ID)
	wantCode(t, "presence for an outsider", err, "not_found")
	if mine, err := s.ListMine(t.Context(), alice, "", 10); err != nil || mine[0].Online == nil || *mine[0].Online != len(there) {
		t.Errorf("the caller's groups: %+v, %v", mine, err)
	}
	if sum := b.Summary(t.Context(), g.ID); sum != nil {
		t.Errorf("without presence: %+v", sum)
	}
	if mine, err := b.ListMine(t.Context(), alice, "", 10); err != nil || mine[0].Online != nil {
		t.Errorf("the caller's groups without presence: %+v, %v", mine, err)
	}
}

func TestSetPresence(t *testing.T) {
	t.Parallel()
	b := newBench(t, group.Config{})
	g := b.group(t, `{"name":"g"}`)
	there := crowd{{UserID: "alice", Status: "online"}}
	s := group.NewService(group.Config{}, group.Deps{Repository: b.store, Log: b.store, Presence: there})
	set := func(who auth.Identity, following group.Following, body string) error {
		return s.SetPresence(t.Context(), who, g.ID, following, decode[group.PresenceRequest](t, body))
	}
	here := group.Following{Subscribed: true, GoesOn: true}
	large := `{"state":{"a":"` + strings.Repeat("x", 4<<10-8) + `"}}` // with the rest, 4096 bytes

	wantCode(t, "a back end", set(backend, here, `{"state":{}}`), "forbidden")
	wantCode(t, "an outsider", set(user("outsider"), group.Following{}, `{"state":{}}`), "not_found")
	wantCode(t, "a member who does not follow", set(alice, group.Following{}, `{"state":{}}`), "bad_request")
	wantCode(t, "without a state", set(alice, here, `{}`), "validation_failed")
	for _, bad := range []string{`{"state":[]}`, `{"state":"x"}`, `{"state":1}`, `{"state":{},"x":1}`, strings.Replace(large, "xx", "xxx", 1)} {
		wantCode(t, bad[:min(len(bad), 30)], set(alice, here, bad), "validation_failed")
	}
	wantCode(t, "without presence", b.SetPresence(t.Context(), alice, g.ID, here, decode[group.PresenceRequest](t, `{"state":{}}`)), "unavailable")
	for _, good := range []string{`{"state":{ "a": [1] }}`, large, `{"state":null}`} {
		if err := set(alice, here, good); err != nil {
			t.Fatalf("%.30s: %v", good, err)
		}
		kept := decode[map[string]json.RawMessage](t, good)["state"]
		if string(there[0].State) != strings.ReplaceAll(string(kept), " ", "") {
			t.Errorf("kept %.30s of %.30s", there[0].State, good)
		}
	}
}
