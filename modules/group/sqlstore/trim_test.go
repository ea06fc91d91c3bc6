package sqlstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// TestDeletedGroupsAreForgotten moves the time of a deletion into the past.
func TestDeletedGroupsAreForgotten(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, testForget)
}

// TestOldReceiptsExpire moves the time of a receipt into the past.
func TestOldReceiptsExpire(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, testExpire)
}

func testExpire(t *testing.T, db *database.DB) {
	t.Helper()
	ctx, s := t.Context(), sqlstore.New(db)
	receipt := func(key, request string) group.Receipt {
		return group.Receipt{UserID: key, Key: "k", Request: request, Answer: json.RawMessage(`{}`)}
	}
	for key, ago := range map[string]time.Duration{"young": 23 * time.Hour, "old": 25 * time.Hour, "again": 25 * time.Hour} {
		if err := s.Keep(ctx, receipt(key, "1")); err != nil {
			t.Fatal(err)
		}
		err := db.Write(ctx, func(ctx context.Context, q database.Querier) error {
			_, err := q.ExecContext(ctx, `UPDATE receipts SET at = at - $2 WHERE user_id = $1`, key, ago.Microseconds())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for key, kept := range map[string]bool{"young": true, "old": false} {
		if r, err := s.Receipt(ctx, key, "k"); err != nil || (r != nil) != kept {
			t.Errorf("the %s receipt: %v, %v", key, r, err)
		}
	}
	if err := s.Keep(ctx, receipt("young", "2")); !errors.Is(err, group.ErrReceipted) {
		t.Errorf("a recent key was accepted again: %v", err)
	}
	if err := s.Keep(ctx, receipt("again", "2")); err != nil {
		t.Errorf("an old key cannot be used again: %v", err)
	}
	if n, err := s.Expire(ctx, 10); n != 1 || err != nil {
		t.Errorf("%d expired, %v; want the old one", n, err)
	}
	if r, err := s.Receipt(ctx, "again", "k"); err != nil || r == nil || r.Request != "2" {
		t.Errorf("the receipt of the reused key: %v, %v", r, err)
	}
}

// TestUsedUpInvitesExpire moves the time of an invite's last use into the past.
func TestUsedUpInvitesExpire(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, testUsedUp)
}

func testUsedUp(t *testing.T, db *database.DB) {
	t.Helper()
	ctx, s, two := t.Context(), sqlstore.New(db), 2
	groupID := create(t, s)
	for hash, ago := range map[string]time.Duration{"young": 23 * time.Hour, "old": 25 * time.Hour} {
		invite := group.Invite{InviteID: uuid.NewString(), MaxUses: &two, CreatedBy: "ana"}
		_, err := s.Change(ctx, groupID, "", func(tx group.Tx) error {
			return errors.Join(tx.AddInvite(ctx, invite, hash), tx.UseInvite(ctx, invite.InviteID), tx.UseInvite(ctx, invite.InviteID))
		})
		if err != nil {
			t.Fatal(err)
		}
		err = db.Write(ctx, func(ctx context.Context, q database.Querier) error {
			_, err := q.ExecContext(ctx, `UPDATE invites SET over_at = over_at - $2 WHERE code_hash = $1`, hash, ago.Microseconds())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if n, err := s.Expire(ctx, 10); n != 1 || err != nil {
		t.Errorf("%d expired, %v; want the old one", n, err)
	}
	if _, err := s.InvitedTo(ctx, "young"); err != nil {
		t.Errorf("the recent invite: %v", err)
	}
}

// testHeldExpire renews an expired receipt and an expired ban while Expire runs. Expire
// must not wait, and must not remove them.
func testHeldExpire(t *testing.T) {
	db := servicetest.OpenDatabase(t, servicetest.NewPostgres(t))
	ctx, s := t.Context(), sqlstore.New(db)
	groupID, old := create(t, s), time.Now().Add(-48*time.Hour)
	receipt := group.Receipt{UserID: "ana", Key: "k", Request: "1", Answer: json.RawMessage(`{}`)}
	renew := func(expires *time.Time, during func() error) {
		t.Helper()
		_, err := s.Change(ctx, groupID, "", func(tx group.Tx) error {
			ban := group.Ban{UserID: "bob", ExpiresAt: expires, Actor: "ana"}
			return errors.Join(tx.Keep(ctx, receipt), tx.SetBan(ctx, ban), during())
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	renew(&old, func() error { return nil })
	err := db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, `UPDATE receipts SET at = at - $1`, (48 * time.Hour).Microseconds())
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	renew(nil, func() error {
		n, err := s.Expire(ctx, 10)
		if n != 0 {
			t.Errorf("%d expired", n)
		}
		return err
	})
	if n, err := s.Expire(ctx, 10); n != 0 || err != nil {
		t.Errorf("after the renewal %d expired, %v", n, err)
	}
}

func testForget(t *testing.T, db *database.DB) {
	t.Helper()
	ctx, s := t.Context(), sqlstore.New(db)
	ids := make(map[time.Duration]string) // by the time since the group's deletion
	for _, ago := range []time.Duration{23 * time.Hour, 25 * time.Hour, 49 * time.Hour} {
		g := group.Group{ID: uuid.Must(uuid.NewV7()).String(), Name: "x", Visibility: group.Private, JoinPolicy: group.JoinOpen, Attributes: json.RawMessage(`{}`)}
		owner := group.Member{UserID: "ana", Role: group.Owner, Attributes: json.RawMessage(`{}`)}
		if _, _, err := s.Create(ctx, "alice", g, owner, nil, nil); err != nil {
			t.Fatal(err)
		}
		_, err := s.Change(ctx, g.ID, "", func(tx group.Tx) error {
			_, err := tx.Append(ctx, group.GroupDeleted, "ana", struct{}{})
			return errors.Join(tx.Delete(ctx), err)
		})
		if err != nil {
			t.Fatal(err)
		}
		err = db.Write(ctx, func(ctx context.Context, q database.Querier) error {
			_, err := q.ExecContext(ctx, `UPDATE groups SET deleted_at = deleted_at - $2 WHERE id = $1`, g.ID, ago.Microseconds())
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		ids[ago] = g.ID
	}
	for _, tc := range []struct {
		age  time.Duration // groups are kept for at least a day, for the feed
		kept map[time.Duration]bool
	}{
		{48 * time.Hour, map[time.Duration]bool{23 * time.Hour: true, 25 * time.Hour: true, 49 * time.Hour: false}},
		{time.Hour, map[time.Duration]bool{23 * time.Hour: true, 25 * time.Hour: false, 49 * time.Hour: false}},
	} {
		for more, rounds := true, 0; more; rounds++ {
			var err error
			if more, err = s.Trim(ctx, upkeep.Retention{Count: 100, Age: time.Hour, Deleted: tc.age}, 10); err != nil || rounds > 5 {
				t.Fatalf("round %d: %v", rounds, err)
			}
		}
		for ago, kept := range tc.kept {
			page, err := s.Read(ctx, ids[ago], 0, 10, nil)
			switch {
			case kept && (err != nil || !page.Deleted || len(page.Events) != 2):
				t.Errorf("age %s: the group deleted %s ago: %d events, %v", tc.age, ago, len(page.Events), err)
			case !kept && !errors.Is(err, fault.ErrNotFound):
				t.Errorf("age %s: the group deleted %s ago is not removed: %v", tc.age, ago, err)
			}
		}
	}
}
