package sqlstore_test

import (
	"context"
	"errors"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// TestStatementsOfACall limits the number of statements. Each statement is a round trip to
// PostgreSQL while the group's row is locked.
func TestStatementsOfACall(t *testing.T) {
	t.Parallel()
	store := sqlstore.New(servicetest.OpenDatabase(t, servicetest.NewPostgres(t)))
	var texts []string
	s := store.Watch(func(text string, _ []any) { texts = append(texts, text) })
	ctx, id := t.Context(), create(t, store)
	for range 20 {
		if _, err := store.Change(ctx, id, "", postOf(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	read := func(since int64, limit, events int) func() error {
		return func() error {
			page, err := s.Read(ctx, id, since, limit, []string{"alice"})
			if err == nil && (page.Group.Version != 21 || len(page.Events) != events || page.Members["alice"].UserID == "") {
				t.Errorf("since %d: version %d, %d events, members %v", since, page.Group.Version, len(page.Events), page.Members)
			}
			return err
		}
	}
	for _, c := range []struct {
		name string
		do   func() error
		most int
	}{
		{"subscribe", read(0, 0, 0), 1},
		{"subscribe again, and nothing is missed", read(21, 100, 0), 1},
		{"subscribe again, and some events are missed", read(15, 100, 6), 1},
		{"subscribe again, and many events are missed", read(1, 100, 20), 2},
		{"post", func() error {
			_, err := s.Change(ctx, id, "alice", func(tx group.Tx) error {
				if m, err := tx.Member(ctx, "alice"); err != nil || m == nil {
					return errors.Join(err, errors.New("alice is no member"))
				}
				tx.MarkRead("alice")
				return postOf(ctx)(tx)
			})
			return err
		}, 2}, // BEGIN and COMMIT are not counted
	} {
		texts = nil
		if err := c.do(); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if len(texts) > c.most {
			t.Errorf("%s: %d statements, want %d: %q", c.name, len(texts), c.most, texts)
		}
	}
}

// TestAMembershipThatChangesMeanwhile checks that a change that waited for another node's
// change sees the memberships after it.
func TestAMembershipThatChangesMeanwhile(t *testing.T) {
	t.Parallel()
	url := servicetest.NewPostgres(t)
	nodes := []*sqlstore.Store{sqlstore.New(servicetest.OpenDatabase(t, url)), sqlstore.New(servicetest.OpenDatabase(t, url))}
	ctx, id := t.Context(), create(t, nodes[0])
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	bob := group.Member{UserID: "bob", Role: group.MemberRole}
	for _, c := range []struct {
		name   string
		change func(tx group.Tx) error
		there  bool
	}{
		{"joins", func(tx group.Tx) error { return tx.AddMember(ctx, bob) }, true},
		{"leaves", func(tx group.Tx) error { return tx.RemoveMember(ctx, "bob") }, false},
	} {
		found := make(chan bool, 1)
		_, err := nodes[0].Change(ctx, id, "", func(tx group.Tx) error {
			go func() {
				there := false
				_, err := nodes[1].Change(ctx, id, "bob", func(tx group.Tx) error {
					m, err := tx.Member(ctx, "bob")
					there = m != nil
					return err
				})
				if err != nil {
					t.Errorf("the change that waits: %v", err)
				}
				found <- there
			}()
			awaitLock(t, conn)
			if err := c.change(tx); err != nil {
				return err
			}
			_, err := tx.Append(ctx, group.MemberUpdated, "", struct{}{})
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if there := <-found; there != c.there {
			t.Errorf("bob %s while a change waits: the change found bob: %v, want %v", c.name, there, c.there)
		}
	}
	_, err = nodes[0].Change(ctx, id, "", func(tx group.Tx) error { return tx.AddMember(ctx, bob) })
	if err == nil || errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("a membership changed without an event: %v, want an error", err)
	}
}

// awaitLock waits until a transaction waits for a lock.
func awaitLock(t *testing.T, conn *pgx.Conn) {
	t.Helper()
	for waits := false; !waits; {
		err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
			WHERE NOT l.granted AND a.datname = current_database())`).Scan(&waits)
		if err != nil {
			t.Fatal(err)
		}
	}
}
