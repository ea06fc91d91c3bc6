package group_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

func TestPresenceInAnswers(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"g"}`)
	there := servicetest.Crowd{{UserID: "admin", Status: "online"}, {UserID: "member", Status: "reconnecting"}}
	for range 150 {
		there = append(there, group.Present{UserID: "u", Status: "online"})
	}
	s := group.NewService(group.Config{}, group.Deps{Repository: b.Store, Log: b.Store, Presence: there})

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
		t.Errorf("%d users are online, %d are listed", sum.Online, len(sum.Items))
	}
	if items, err := s.Presence(t.Context(), alice, g.ID, "", 1000); err != nil || len(items) != len(there) {
		t.Errorf("%d users are present, %v", len(items), err)
	}
	_, err = s.Presence(t.Context(), user("outsider"), g.ID, "", 10)
	servicetest.WantCode(t, "presence for an outsider", err, "not_found")
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
	b := servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"g"}`)
	there := servicetest.Crowd{{UserID: "alice", Status: "online"}}
	s := group.NewService(group.Config{}, group.Deps{Repository: b.Store, Log: b.Store, Presence: there})
	set := func(who auth.Identity, following group.Following, body string) error {
		return s.SetPresence(t.Context(), who, g.ID, following, servicetest.Decode[dto.PresenceRequest](t, body))
	}
	here := group.Following{Subscribed: true, GoesOn: true}
	large := `{"state":{"a":"` + strings.Repeat("x", 4<<10-8) + `"}}` // 4096 bytes with the rest of the object

	servicetest.WantCode(t, "a back end", set(backend, here, `{"state":{}}`), "forbidden")
	servicetest.WantCode(t, "an outsider", set(user("outsider"), group.Following{}, `{"state":{}}`), "not_found")
	servicetest.WantCode(t, "a member who does not follow", set(alice, group.Following{}, `{"state":{}}`), "bad_request")
	servicetest.WantCode(t, "without a state", set(alice, here, `{}`), "validation_failed")
	for _, bad := range []string{`{"state":[]}`, `{"state":"x"}`, `{"state":1}`, `{"state":{},"x":1}`, strings.Replace(large, "xx", "xxx", 1)} {
		servicetest.WantCode(t, bad[:min(len(bad), 30)], set(alice, here, bad), "validation_failed")
	}
	servicetest.WantCode(t, "without presence", b.SetPresence(t.Context(), alice, g.ID, here, servicetest.Decode[dto.PresenceRequest](t, `{"state":{}}`)), "unavailable")
	for _, good := range []string{`{"state":{ "a": [1] }}`, large, `{"state":null}`} {
		if err := set(alice, here, good); err != nil {
			t.Fatalf("%.30s: %v", good, err)
		}
		kept := servicetest.Decode[map[string]json.RawMessage](t, good)["state"]
		if string(there[0].State) != strings.ReplaceAll(string(kept), " ", "") {
			t.Errorf("kept %.30s of %.30s", there[0].State, good)
		}
	}
}
