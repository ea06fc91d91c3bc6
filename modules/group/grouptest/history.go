package grouptest

import (
	"context"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// testTalliesAfterHistory makes random changes. Afterwards the counts of the users' groups
// must match their lists of groups.
func testTalliesAfterHistory(t *testing.T, s Store) {
	const users, steps = 5, 120
	ctx, random := t.Context(), rand.New(rand.NewPCG(7, 11))
	groups := []string{create(t, s).ID}
	undone := errors.New("undone")
	for range steps {
		id, who := groups[random.IntN(len(groups))], user(random.IntN(users))
		kind := random.IntN(8)
		if kind == 0 {
			m := owner()
			m.UserID = who
			g, _, err := s.Create(ctx, "alice", fixture(), m, nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			groups = append(groups, g.ID)
			continue
		}
		undo := random.IntN(6) == 0
		_, err := s.Change(ctx, id, "", func(tx group.Tx) error {
			if err := step(ctx, tx, kind, who, user(random.IntN(users))); err != nil || !undo {
				return err
			}
			return undone
		})
		if err != nil && !errors.Is(err, undone) {
			t.Fatal(err)
		}
		if g, _, err := s.Group(ctx, id, ""); err != nil || g.ID == "" {
			groups = append(groups[:0], create(t, s).ID) // the group was deleted
		}
	}
	names := []string{"alice"}
	for i := range users {
		names = append(names, user(i))
	}
	want := make(map[string]group.Tally)
	for _, name := range names {
		mine, err := s.UserGroups(ctx, name, "", 1000)
		if err != nil {
			t.Fatal(err)
		}
		var n group.Tally
		for _, m := range mine {
			if n.Joined++; m.Role == group.Owner {
				n.Owned++
			}
		}
		if n != (group.Tally{}) {
			want[name] = n
		}
	}
	last := create(t, s, func(g *group.Group) { g.Name = "last" })
	counted := func() (found map[string]group.Tally) {
		change(t, s, last.ID, func(tx group.Tx) (err error) {
			found, err = tx.Tally(ctx, names...)
			return err
		})
		return found
	}
	alice := want["alice"]
	want["alice"] = group.Tally{Owned: alice.Owned + 1, Joined: alice.Joined + 1}
	same(t, "tallies", counted(), want)
	if _, err := s.Trim(ctx, upkeep.Retention{Count: 1}, 1000); err != nil {
		t.Fatal(err)
	}
	same(t, "tallies after a sweep", counted(), want)
}

// step makes a change of one kind.
func step(ctx context.Context, tx group.Tx, kind int, who, other string) error {
	m, err := tx.Member(ctx, who)
	if err != nil {
		return err
	}
	var typ group.EventType
	switch {
	case kind == 1 && m != nil && tx.Group().OwnerID != who:
		typ, err = group.OwnerTransferred, tx.SetOwner(ctx, who, at)
	case kind == 2:
		typ, err = group.GroupDeleted, tx.Delete(ctx)
	case kind == 3 && m != nil && tx.Group().OwnerID != who:
		typ, err = group.MemberRemoved, tx.RemoveMember(ctx, who)
	case m == nil:
		if err := join(ctx, who)(tx); err != nil {
			return err
		}
		if there, err := tx.Member(ctx, other); err != nil || there != nil {
			return err
		}
		return join(ctx, other)(tx)
	case m.Role != group.Owner:
		m.Role = group.Admin
		typ, err = group.MemberUpdated, tx.SetMember(ctx, *m)
	default:
		return nil
	}
	if err != nil {
		return err
	}
	_, err = tx.Append(ctx, typ, who, struct{}{})
	return err
}
