package grouptest

import (
	"errors"
	"fmt"
	"slices"
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
	same(t, "the job continues at its last position", renaming("bob"), &job)
	if r := renaming("alice"); r != nil {
		t.Errorf("alice has a rename: %+v", r)
	}

	// Another name starts a new job, even while the first job is in progress.
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

// testNamedIn lists the groups of which a user is a member or has requested to become one.
func testNamedIn(t *testing.T, s Store) {
	ctx := t.Context()
	var want []string
	for n := range 6 {
		g := create(t, s)
		if n == 5 {
			continue
		}
		change(t, s, g.ID, func(tx group.Tx) error {
			if n%2 == 0 {
				return join(ctx, "bob")(tx)
			}
			return tx.SetApplicant(ctx, group.Applicant{UserID: "bob", Name: "Bob", At: at})
		})
		want = append(want, g.ID)
	}
	slices.Sort(want)
	slices.Reverse(want)
	for _, limit := range []int{1, 2, 3, 10} {
		got := walk(t, limit, func(before string) ([]string, error) {
			return s.NamedIn(ctx, "bob", before, limit)
		}, func(id string) string { return id })
		same(t, fmt.Sprint("groups with the name, ", limit, " at a time"), got, want)
	}
	got, err := s.NamedIn(ctx, "nobody", "", 10)
	if err != nil || len(got) > 0 {
		t.Errorf("an unknown user is named in %v, %v", got, err)
	}
}
