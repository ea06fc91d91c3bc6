package sqltokens_test

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/audit/sqlaudit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/auth/sqltokens"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/database/databasetest"
	"github.com/moim-live/moim/modules/fault"
)

func TestMain(m *testing.M) { childtest.VerifyMain(m) }

func TestSQLite(t *testing.T) {
	t.Parallel()
	testStore(t, databasetest.Open(t, ""))
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	testStore(t, databasetest.Open(t, pgtest.Start(t).NewDatabase(t)))
}

func testStore(t *testing.T, db *database.DB) {
	s, ctx := sqltokens.New(db), t.Context()
	revoke := func(user string, before int64) {
		t.Helper()
		if err := s.Revoke(ctx, user, time.UnixMicro(before)); err != nil {
			t.Fatal(err)
		}
	}
	all := func(since time.Time) map[string]int64 {
		t.Helper()
		list, next, err := s.Revocations(ctx, since)
		if err != nil {
			t.Fatal(err)
		}
		if age := time.Since(next); age < 5*time.Second || age > time.Minute { // early enough to see late commits
			t.Errorf("to be asked again since %s ago", age)
		}
		found := make(map[string]int64)
		for _, r := range list {
			found[r.UserID] = r.Before.UnixMicro()
		}
		return found
	}
	testAudited(t, db, s)
	revoke("alice", 5)
	revoke("alice", 9)
	revoke("alice", 7)
	revoke("bob", 3)
	if got := all(time.Time{}); len(got) != 2 || got["alice"] != 9 || got["bob"] != 3 {
		t.Errorf("revoked: %v", got)
	}
	if got := all(time.Now().Add(time.Hour)); len(got) != 0 {
		t.Errorf("revoked in an hour: %v", got)
	}
	if err := s.Forget(ctx, time.Hour); err != nil || len(all(time.Time{})) != 2 {
		t.Errorf("forgotten too early: %v", err)
	}
	if err := s.Forget(ctx, -time.Hour); err != nil || len(all(time.Time{})) != 0 {
		t.Errorf("not forgotten: %v", err)
	}
	testConceal(t, db, s, all)
	if err := db.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	_, _, err := s.Revocations(ctx, time.Time{})
	if !errors.Is(err, fault.ErrUnavailable) || !errors.Is(s.Revoke(ctx, "alice", time.Now()), fault.ErrUnavailable) {
		t.Errorf("without a database: %v", err)
	}
}

// testAudited checks that a revocation writes an audit entry, unless it changes nothing.
func testAudited(t *testing.T, db *database.DB, s *sqltokens.Store) {
	t.Helper()
	ctx := t.Context()
	for _, c := range []struct{ before, want int64 }{{2, 1}, {2, 1}, {1, 1}, {3, 2}} {
		e, err := audit.New(t.Context(), "backend", "revoke-tokens")
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Revoke(ctx, "alice", time.UnixMicro(c.before), e); err != nil {
			t.Fatal(err)
		}
		entries, err := sqlaudit.New(db).Entries(ctx, audit.Filter{Actor: "backend"}, "", 10)
		if err != nil || int64(len(entries)) != c.want {
			t.Errorf("revoked before %d: %d entries, %v; want %d", c.before, len(entries), err, c.want)
		}
	}
	if err := s.Forget(ctx, -time.Hour); err != nil {
		t.Fatal(err)
	}
}

// testConceal checks that a concealed revocation still applies, even on a node that starts later.
func testConceal(t *testing.T, db *database.DB, s *sqltokens.Store, all func(time.Time) map[string]int64) {
	t.Helper()
	ctx, log := t.Context(), slog.New(slog.DiscardHandler)
	begin := time.UnixMicro(1_000_000)
	start := func() *auth.Revocations {
		t.Helper()
		r := auth.NewRevocations(auth.Config{}, sqltokens.New(db), log)
		if err := r.Start(ctx); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = r.Stop(context.Background()) })
		return r
	}
	running := start()
	if err := errors.Join(running.Revoke(ctx, "alice", begin), running.Conceal(ctx, "alice"), running.Conceal(ctx, "alice")); err != nil {
		t.Fatal(err)
	}
	pseudonym, err := s.Pseudonym("alice")
	if err != nil {
		t.Fatal(err)
	}
	if got := all(time.Time{}); len(got) != 1 || got[pseudonym] != begin.UnixMicro() {
		t.Errorf("stored: %v", got)
	}
	for name, r := range map[string]*auth.Revocations{"the running node": running, "a new node": start()} {
		for issued, want := range map[int64]bool{0: false, 999_999: false, 1_000_000: true} {
			if err := r.Check(auth.Identity{UserID: "alice", Issued: time.UnixMicro(issued)}); (err == nil) != want {
				t.Errorf("%s: a token of %d: %v", name, issued, err)
			}
		}
		if err := r.Check(auth.Identity{UserID: "bob"}); err != nil {
			t.Errorf("%s: another user: %v", name, err)
		}
	}
	// If it is concealed twice, the later time applies.
	if err := errors.Join(running.Revoke(ctx, "alice", begin.Add(time.Second)), running.Conceal(ctx, "alice")); err != nil {
		t.Fatal(err)
	}
	if got := all(time.Time{}); len(got) != 1 || got[pseudonym] != begin.Add(time.Second).UnixMicro() {
		t.Errorf("stored after the second time: %v", got)
	}
}
