package upkeep_test

import (
	"context"
	"fmt"
	"log/slog"
	"testing"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// TestRenameGoesOn has a node that dies in the middle of a rename. Another node must
// continue, and set the name once in each group.
func TestRenameGoesOn(t *testing.T) {
	t.Parallel()
	const groups = 120 // more than one step renames
	ctx := t.Context()
	db := servicetest.OpenDatabase(t, "")
	b := servicetest.NewOn(group.Config{}, sqlstore.New(db))
	backend := auth.Identity{UserID: "backend", Admin: true}
	for i := range groups {
		body := fmt.Sprintf(`{"name":"g%d","ownerId":"bob","ownerName":"Old"}`, i)
		if _, err := b.Create(ctx, backend, servicetest.Decode[dto.CreateRequest](t, body)); err != nil {
			t.Fatal(err)
		}
	}
	b.Take()
	rename := func() string {
		t.Helper()
		id, err := b.RenameUser(ctx, backend, "bob", servicetest.Decode[dto.RenameRequest](t, `{"name":" Bob "}`))
		if err != nil {
			t.Fatal(err)
		}
		return id
	}
	id := rename()
	job, err := b.Store.ClaimRename(ctx)
	if err != nil || job == nil || job.ID != id {
		t.Fatalf("claimed %+v, %v", job, err)
	}
	r := upkeep.NewRenamer(b.Service, b.Store, slog.New(slog.DiscardHandler))
	if _, err := r.Continue(ctx, *job); err != nil { // the first step, whose progress is not stored
		t.Fatal(err)
	}
	done := len(b.TakeEvents())
	if done == 0 || done >= groups {
		t.Fatalf("the first step set the name in %d of %d groups", done, groups)
	}
	if again := rename(); again != id {
		t.Errorf("the same name again is job %s, want %s", again, id)
	}

	err = db.Write(ctx, func(ctx context.Context, q database.Querier) error { // the claim expires
		_, err := q.ExecContext(ctx, `UPDATE renames SET until = 0`)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Start(ctx); err != nil {
		t.Fatal(err)
	}
	finished := func() bool {
		var left int
		err := db.View(ctx, func(ctx context.Context, q database.Querier) error {
			return q.QueryRowContext(ctx, `SELECT COUNT(*) FROM renames`).Scan(&left)
		})
		if err != nil {
			t.Fatal(err)
		}
		return left == 0
	}
	wait := func() {
		t.Helper()
		waittest.Until(t, "the job is done", finished)
	}
	wait()
	events := b.TakeEvents()
	if len(events) != groups-done {
		t.Errorf("%d events, want %d", len(events), groups-done)
	}
	for _, e := range events {
		if e.Type != group.MemberUpdated || e.Version != 2 || *e.Actor != "backend" || servicetest.Decode[group.Member](t, string(e.Data)).Name != "Bob" {
			t.Fatalf("announced %+v", e)
		}
	}
	mine, err := b.Store.UserGroups(ctx, "bob", "", groups)
	if err != nil || len(mine) != groups {
		t.Fatalf("bob is in %d groups, %v", len(mine), err)
	}
	for _, g := range mine {
		if m, err := b.Member(ctx, backend, g.ID, "bob"); err != nil || m.Name != "Bob" || m.Role != group.Owner {
			t.Errorf("in %s: %+v, %v", g.Name, m, err)
		}
	}

	rename() // a repeat changes nothing
	wait()
	if err := r.Stop(ctx); err != nil {
		t.Error(err)
	}
	if events := b.TakeEvents(); len(events) > 0 {
		t.Errorf("the same name again: %d events", len(events))
	}
}

// TestRenameIsReplaced checks that a job does nothing more once another job has replaced
// it.
func TestRenameIsReplaced(t *testing.T) {
	t.Parallel()
	ctx, backend := t.Context(), auth.Identity{UserID: "backend", Admin: true}
	b := servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"g"}`)
	var jobs []group.Rename
	for _, name := range []string{"First", "Second"} {
		id, err := b.RenameUser(ctx, backend, "member", servicetest.Decode[dto.RenameRequest](t, `{"name":"`+name+`"}`))
		if err != nil {
			t.Fatal(err)
		}
		jobs = append(jobs, group.Rename{ID: id, UserID: "member", Name: name, Actor: "backend"})
	}
	r := upkeep.NewRenamer(b.Service, b.Store, slog.New(slog.DiscardHandler))
	for i, want := range []string{"", "Second"} {
		if _, err := r.Continue(ctx, jobs[i]); err != nil {
			t.Fatal(err)
		}
		if m, err := b.Member(ctx, backend, g.ID, "member"); err != nil || m.Name != want {
			t.Errorf("after job %d: %+v, %v; want %q", i, m, err, want)
		}
	}
}

// TestRenameInRequests checks that a user who requested to join gets the new name in the
// request, and as a member after the approval.
func TestRenameInRequests(t *testing.T) {
	t.Parallel()
	ctx, backend := t.Context(), auth.Identity{UserID: "backend", Admin: true}
	b := servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"request"}`)
	bob := auth.Identity{UserID: "bob", Name: "Old"}
	if _, err := b.Join(ctx, bob, g.ID); err != nil {
		t.Fatal(err)
	}
	asked, err := b.Applicants(ctx, backend, g.ID, "", 10)
	if err != nil || len(asked) != 1 {
		t.Fatalf("%+v, %v", asked, err)
	}
	b.Take()
	id, err := b.RenameUser(ctx, backend, "bob", servicetest.Decode[dto.RenameRequest](t, `{"name":"Bob"}`))
	if err != nil {
		t.Fatal(err)
	}
	r := upkeep.NewRenamer(b.Service, b.Store, slog.New(slog.DiscardHandler))
	for job := (&group.Rename{ID: id, UserID: "bob", Name: "Bob", Actor: "backend"}); job != nil; {
		if job, err = r.Continue(ctx, *job); err != nil {
			t.Fatal(err)
		}
	}
	now, err := b.Applicants(ctx, backend, g.ID, "", 10)
	if err != nil || len(now) != 1 || now[0].Name != "Bob" || !now[0].At.Equal(asked[0].At) {
		t.Errorf("%+v, %v; want Bob, who asked at %s", now, err, asked[0].At)
	}
	if events := b.Take(); len(events) > 0 {
		t.Errorf("announced %v", events)
	}
	if m, err := b.Approve(ctx, backend, g.ID, "bob"); err != nil || m.Name != "Bob" {
		t.Errorf("%+v, %v; want Bob", m, err)
	}
}
