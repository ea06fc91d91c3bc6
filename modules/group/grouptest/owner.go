package grouptest

import (
	"encoding/json"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/modules/group"
)

func testOwner(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	for _, u := range []string{"bob", "carol"} {
		change(t, s, g.ID, join(ctx, u))
	}
	later := at.Add(time.Minute)
	transfer := func(to string) func(group.Tx) error {
		return func(tx group.Tx) error {
			if tx.Group().OwnerID == to {
				return nil
			}
			if err := tx.SetOwner(ctx, to, later); err != nil {
				return err
			}
			_, err := tx.Append(ctx, group.OwnerTransferred, "alice", map[string]string{"to": to})
			return err
		}
	}
	change(t, s, g.ID, transfer("bob"))
	want := g
	want.OwnerID, want.MemberCount, want.Version, want.Revision, want.UpdatedAt = "bob", 3, 4, 4, later
	got, bob := get(t, s, g.ID, "bob")
	same(t, "the group", got, want)
	_, alice := get(t, s, g.ID, "alice")
	if bob.Role != group.Owner || alice.Role != group.Admin {
		t.Errorf("bob is %s, alice is %s; want owner and admin", bob.Role, alice.Role)
	}

	change(t, s, g.ID, func(tx group.Tx) error { // The new owner joined in the same change. A field was set before the transfer.
		n := tx.Group()
		n.Name, n.Attributes = "Handed over", json.RawMessage(`{}`)
		if err := tx.SetGroup(ctx, n); err != nil {
			return err
		}
		if err := join(ctx, "dave")(tx); err != nil {
			return err
		}
		if err := transfer("dave")(tx); err != nil {
			return err
		}
		if n := tx.Group(); n.OwnerID != "dave" || n.Name != "Handed over" || n.Revision != n.Version {
			t.Errorf("within the change: %+v", n)
		}
		return nil
	})
	for name, to := range map[string]string{"nobody": "nobody", "the owner": "dave", "no text": "a\x00b"} {
		if _, err := s.Change(ctx, g.ID, "", func(tx group.Tx) error { return tx.SetOwner(ctx, to, later) }); err == nil {
			t.Errorf("%s became the owner", name)
		}
	}

	var all sync.WaitGroup
	for range 5 {
		for _, u := range []string{"alice", "bob", "carol", "dave"} {
			all.Go(func() {
				if _, err := s.Change(ctx, g.ID, "", transfer(u)); err != nil {
					t.Error(err)
				}
			})
		}
	}
	all.Wait()
	members, _, err := s.Members(ctx, g.ID, "", 10)
	if err != nil {
		t.Fatal(err)
	}
	got, _ = get(t, s, g.ID, "")
	for _, m := range members {
		if (m.Role == group.Owner) != (m.UserID == got.OwnerID) {
			t.Errorf("%s is %s, and %s owns the group", m.UserID, m.Role, got.OwnerID)
		}
	}
}
