package grouptest

import (
	"errors"
	"testing"

	"github.com/moim-live/moim/modules/group"
)

func testRenames(t *testing.T, s Store) {
	ctx, g := t.Context(), create(t, s)
	set := func(id, userID, name string) string {
		t.Helper()
		got, err := s.SetRename(ctx, group.Rename{ID: id, UserID: userID, Name: name, Actor: "backend"})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	claim := func() *group.Rename {
		t.Helper()
		r, err := s.ClaimRename(ctx)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	renaming := func(userID string) (r *group.Rename) {
		t.Helper()
		change(t, s, g.ID, func(tx group.Tx) (err error) {
			r, err = tx.Renaming(ctx, userID)
			return err
		})
		return r
	}
	if r := claim(); r != nil {
		t.Errorf("claimed %+v before there was a job", r)
	}
	set("1", "bob", "Bob")
	job := group.Rename{ID: "1", UserID: "bob", Name: "Bob", Actor: "backend"}
	same(t, "the claimed job", claim(), &job)
	if r := claim(); r != nil {
		t.Errorf("claimed %+v twice", r)
	}
	job.Before = "some group"
	if current, err := s.AdvanceRename(ctx, job); !current || err != nil {
		t.Errorf("advanced: %v, %v", current, err)
	}
	if id := set("2", "bob", "Bob"); id != "1" {
		t.Errorf("the same name again is job %s, want 1", id)
	}
	same(t, "the job goes on where it was", renaming("bob"), &job)
	if r := renaming("alice"); r != nil {
		t.Errorf("alice is renamed: %+v", r)
	}

	// Another name begins from the start, whoever works on the first one.
	if id := set("3", "bob", "Bobby"); id != "3" {
		t.Errorf("another name is job %s, want 3", id)
	}
	replaced := job
	job = group.Rename{ID: "3", UserID: "bob", Name: "Bobby", Actor: "backend"}
	if current, err := s.AdvanceRename(ctx, replaced); current || err != nil {
		t.Errorf("the replaced job advanced: %v, %v", current, err)
	}
	if err := s.FinishRename(ctx, replaced); err != nil {
		t.Error(err)
	}
	same(t, "the second job", claim(), &job)
	if err := errors.Join(s.FinishRename(ctx, job), s.FinishRename(ctx, job)); err != nil {
		t.Error(err)
	}
	if r := renaming("bob"); r != nil {
		t.Errorf("bob is still renamed: %+v", r)
	}
}
