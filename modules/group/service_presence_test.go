package group_test

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

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
	if sum := b.Summary(t.Context(), g.ID); sum != nil {
		t.Errorf("without presence: %+v", sum)
	}
}
