package grouptest

import (
	"encoding/json"
	"errors"
	"sync"
	"testing"

	"github.com/moim-live/moim/modules/group"
)

func receiptOf(userID, key, request string) group.Receipt {
	return group.Receipt{UserID: userID, Key: key, Request: request, Answer: json.RawMessage(`{"of":"` + request + `"}`)}
}

// testReceipts keeps receipts with changes, without changes, and with new groups.
func testReceipts(t *testing.T, s Store) {
	ctx := t.Context()
	g := create(t, s)
	keep := func(r group.Receipt, after error) error {
		_, err := s.Change(ctx, g.ID, "", func(tx group.Tx) error {
			if err := post(ctx, 1)(tx); err != nil {
				return err
			}
			if err := tx.Keep(ctx, r); err != nil {
				return err
			}
			return after
		})
		return err
	}
	is := func(what, userID, key string, want *group.Receipt) {
		t.Helper()
		got, err := s.Receipt(ctx, userID, key)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		same(t, what, got, want)
	}

	is("a key nobody used", "alice", "k", nil)
	undone := errors.New("undone")
	if err := keep(receiptOf("alice", "k", "first"), undone); !errors.Is(err, undone) {
		t.Fatal(err)
	}
	is("after a change that failed", "alice", "k", nil)

	first := receiptOf("alice", "k", "first")
	if err := keep(first, nil); err != nil {
		t.Fatal(err)
	}
	is("after the change", "alice", "k", &first)
	is("somebody else's key", "bob", "k", nil)
	is("another key", "alice", "K", nil)
	is("a key that cannot be", "alice", "k\x00", nil)

	if err := keep(receiptOf("alice", "k", "second"), nil); !errors.Is(err, group.ErrReceipted) {
		t.Errorf("a second change under the key: %v", err)
	}
	if err := s.Keep(ctx, receiptOf("alice", "k", "third")); !errors.Is(err, group.ErrReceipted) {
		t.Errorf("a receipt of no change under the key: %v", err)
	}
	repeated := receiptOf("alice", "k", "fourth")
	fresh := fixture()
	if _, _, err := s.Create(ctx, "alice", fresh, owner(), nil, &repeated); !errors.Is(err, group.ErrReceipted) {
		t.Errorf("a new group under the key: %v", err)
	}
	_, _, err := s.Group(ctx, fresh.ID, "")
	isNotFound(t, "the group that was not created", err)
	is("in the end", "alice", "k", &first)
	if after, _ := get(t, s, g.ID, ""); after.Version != 2 {
		t.Errorf("the group has version %d, want 2", after.Version)
	}

	alone, created := receiptOf("bob", "k", "alone"), receiptOf("bob", "new", "created")
	if err := s.Keep(ctx, alone); err != nil {
		t.Error(err)
	}
	is("a receipt of no change", "bob", "k", &alone)
	if _, _, err := s.Create(ctx, "alice", fresh, owner(), nil, &created); err != nil {
		t.Error(err)
	}
	is("a new group's receipt", "bob", "new", &created)
	if n, err := s.Expire(ctx, 10); n != 0 || err != nil {
		t.Errorf("%d receipts of today were removed, %v", n, err)
	}
}

// testTwins makes the same change with the same key many times at once. Only one may be
// committed.
func testTwins(t *testing.T, s Store) {
	ctx := t.Context()
	here, there := create(t, s), create(t, s)
	const twins = 20
	var all sync.WaitGroup
	outcomes := make(chan error, twins)
	for i := range twins {
		all.Go(func() {
			groupID := here.ID
			if i%2 == 1 {
				groupID = there.ID
			}
			_, err := s.Change(ctx, groupID, "", func(tx group.Tx) error {
				if err := post(ctx, i)(tx); err != nil {
					return err
				}
				return tx.Keep(ctx, receiptOf("alice", "twins", "the same"))
			})
			outcomes <- err
		})
	}
	all.Wait()
	close(outcomes)
	done := 0
	for err := range outcomes {
		switch {
		case err == nil:
			done++
		case !errors.Is(err, group.ErrReceipted):
			t.Error(err)
		default:
			if r, err := s.Receipt(ctx, "alice", "twins"); r == nil || err != nil {
				t.Errorf("after a refused call with the same key, the receipt is %v, %v", r, err)
			}
		}
	}
	a, _ := get(t, s, here.ID, "")
	b, _ := get(t, s, there.ID, "")
	if done != 1 || a.Version+b.Version != 3 {
		t.Errorf("%d equal changes were committed, and the groups have the versions %d and %d", done, a.Version, b.Version)
	}
}
