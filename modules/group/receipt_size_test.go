package group_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// TestReceiptsAreSmall checks that a receipt does not hold a second copy of large data, and
// that a repeat still returns the first answer.
func TestReceiptsAreSmall(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		testSmallReceipts(t, db, servicetest.NewOn(group.Config{}, sqlstore.New(db)))
	})
}

func testSmallReceipts(t *testing.T, db *database.DB, b *servicetest.Bench) {
	t.Helper()
	ctx := t.Context()
	attributes := fmt.Sprintf(`{"large":%q}`, strings.Repeat("a", 15<<10))
	g := b.NewGroup(t, `{"name":"g","attributes":`+attributes+`}`)
	if _, err := b.AddMembers(ctx, backend, g.ID, dto.AddMembersRequest{UserIDs: []string{"muted"}}); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Mute(ctx, alice, g.ID, "muted", dto.MuteRequest{}); err != nil {
		t.Fatal(err)
	}
	if err := b.RemoveMember(ctx, alice, g.ID, "muted", false); err != nil {
		t.Fatal(err)
	}
	exec := func(query string, a ...any) {
		t.Helper()
		err := db.Write(ctx, func(ctx context.Context, q database.Querier) error {
			_, err := q.ExecContext(ctx, query, a...)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		do   func(ctx context.Context) (any, error)
	}{
		{"post", func(ctx context.Context) (any, error) {
			data := fmt.Sprintf(`{"text": %q}`, strings.Repeat("x", 32_000))
			return b.Post(ctx, alice, g.ID, servicetest.Decode[dto.MessageRequest](t, `{"data":`+data+`}`))
		}},
		{"create", func(ctx context.Context) (any, error) {
			body := fmt.Sprintf(`{"name":"n","description":%q,"attributes":%s}`, strings.Repeat("d", 3000), attributes)
			return b.Create(ctx, alice, servicetest.Decode[dto.CreateRequest](t, body))
		}},
		{"add members", func(ctx context.Context) (any, error) {
			req := dto.AddMembersRequest{UserIDs: []string{"alice", "muted", "muted"}, Names: map[string]string{"user 7": "Seven"}}
			for i := range 90 {
				req.UserIDs = append(req.UserIDs, fmt.Sprintf("user %d", i))
			}
			return b.AddMembers(ctx, backend, g.ID, req)
		}},
		{"update nothing", func(ctx context.Context) (any, error) {
			return b.Update(ctx, alice, g.ID, nil, servicetest.Decode[dto.UpdateRequest](t, `{"name":"g"}`))
		}},
	} {
		keyed := group.WithKey(ctx, c.name)
		first, err := c.do(keyed)
		if err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		var size int
		err = db.View(ctx, func(ctx context.Context, q database.Querier) error {
			return q.QueryRowContext(ctx, `SELECT octet_length(user_id) + octet_length(key) + octet_length(request) + octet_length(answer)
				FROM receipts ORDER BY at DESC LIMIT 1`).Scan(&size)
		})
		t.Logf("the receipt of %s has %d bytes", c.name, size)
		if err != nil || size > 600 {
			t.Errorf("the receipt of %s has %d bytes, %v", c.name, size, err)
		}
		want := inJSON(t, first)
		repeat := func(what string) {
			t.Helper()
			again, err := c.do(keyed)
			if diff := cmp.Diff(want, inJSON(t, again)); err != nil || diff != "" {
				t.Errorf("%s %s returns another answer, %v:\n%s", c.name, what, err, diff)
			}
		}
		repeat("again")
		exec(`UPDATE receipts SET answer = $1 WHERE at = (SELECT MAX(at) FROM receipts)`, want)
		repeat("with a receipt that has the whole answer")
	}
}

// TestRepeatAfterRetention repeats a post whose event is no longer in the log.
func TestRepeatAfterRetention(t *testing.T) {
	t.Parallel()
	db := servicetest.OpenDatabase(t, "")
	b := servicetest.NewOn(group.Config{}, sqlstore.New(db))
	g := b.NewGroup(t, `{"name":"g"}`)
	post := func() string {
		t.Helper()
		posted, err := b.Post(group.WithKey(t.Context(), "k"), alice, g.ID, dto.MessageRequest{Data: json.RawMessage(`{"text":"once"}`)})
		if err != nil {
			t.Fatal(err)
		}
		return inJSON(t, posted)
	}
	first := post()
	if !strings.Contains(first, `"data":{"type":"message","data":{"text":"once"}}`) {
		t.Errorf("the post answers %s", first)
	}
	err := db.Write(t.Context(), func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, `DELETE FROM events`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, post()); diff != "" {
		t.Errorf("the repeat returns another answer:\n%s", diff)
	}
	if got := b.Read(t, g.ID).Version; got != g.Version+1 {
		t.Errorf("the group has version %d, want %d", got, g.Version+1)
	}
}

// TestRepeatOfAnUpdateOfNothing repeats an update that changed nothing, after another
// update. The repeat changes nothing either, and returns the group's current state.
func TestRepeatOfAnUpdateOfNothing(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"g"}`)
	update := func(ctx context.Context, name string) group.Group {
		t.Helper()
		updated, err := b.Update(ctx, user("admin"), g.ID, nil, dto.UpdateRequest{Name: &name})
		if err != nil {
			t.Fatal(err)
		}
		return updated
	}
	keyed := group.WithKey(t.Context(), "k")
	if got := update(keyed, "g"); got.Version != g.Version {
		t.Errorf("the update of nothing answers version %d, want %d", got.Version, g.Version)
	}
	update(t.Context(), "another")
	if got := update(keyed, "g"); got.Name != "another" {
		t.Errorf("the repeat answers the name %q", got.Name)
	}
	role := string(group.MemberRole)
	if _, err := b.UpdateMember(t.Context(), alice, g.ID, "admin", dto.UpdateMemberRequest{Role: &role}); err != nil {
		t.Fatal(err)
	}
	name := "g"
	if _, err := b.Update(keyed, user("admin"), g.ID, nil, dto.UpdateRequest{Name: &name}); !errors.Is(err, fault.ErrForbidden) {
		t.Errorf("the repeat of a user who is no admin any more: %v", err)
	}
}
