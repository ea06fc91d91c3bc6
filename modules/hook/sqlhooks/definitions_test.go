package sqlhooks_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/hook"
)

func testParks(w *world) {
	h := w.hook("a", false)
	g := w.group()
	w.spread()
	fail := func(t hook.Turn) bool {
		w.Helper()
		parked, err := w.store.Failed(w.Context(), t, hook.Failure{Status: 400, Problem: "no", Retry: time.Hour})
		w.must(err)
		return parked
	}
	if fail(w.one(h)) {
		w.Fatal("parked at once")
	}
	w.exec(`UPDATE hook_groups SET due_at = 1, failed_at = failed_at - $1`, hook.Patience.Microseconds()-1e9)
	if fail(w.one(h)) {
		w.Fatal("parked too early")
	}
	w.exec(`UPDATE hook_groups SET due_at = 1, failed_at = failed_at - 2000000000`)
	if !fail(w.one(h)) {
		w.Fatal("not parked after three days")
	}
	w.post(g, 1)
	w.spread()
	if turns, err := w.store.Claim(w.Context(), h.ID, 10, true); err != nil || len(turns) > 0 {
		w.Errorf("a parked group is due: %+v, %v", turns, err)
	}
	waiting := w.group()
	w.spread()
	groups := func(before hook.Place) []hook.Status {
		w.Helper()
		found, err := w.store.Groups(w.Context(), h.ID, before, 1)
		w.must(err)
		return found
	}
	found := groups(hook.Place{Due: math.MaxInt64, GroupID: "\U0010ffff"})
	if len(found) != 1 || found[0].GroupID != g || found[0].State != "parked" || found[0].Lag != 2 || found[0].ParkedAt == nil || found[0].LastReply != 400 {
		w.Fatalf("%+v", found)
	}
	if found = groups(found[0].Place); len(found) != 1 || found[0].GroupID != waiting || found[0].State != "waiting" {
		w.Errorf("%+v", found)
	}
	if b, err := w.store.Backlog(w.Context(), h.ID); err != nil || b.Parked != 1 || b.Waiting != 2 || b.Oldest > time.Minute {
		w.Errorf("%+v, %v", b, err)
	}
	w.must(w.store.Resume(w.Context(), h.ID, g))
	if turns := w.claim(h); len(turns) != 2 {
		w.Errorf("after resuming, %+v are due", turns)
	}
}

func testRevives(w *world) {
	h := w.hook("a", false)
	for range 3 {
		w.group()
	}
	w.spread()
	for i, t := range w.claim(h) {
		_, err := w.store.Failed(w.Context(), t, hook.Failure{Unreachable: i > 0, Retry: time.Hour})
		w.must(err)
	}
	if n, err := w.store.Revive(w.Context(), h.ID, 10); err != nil || n != 2 {
		w.Errorf("revived %d, %v", n, err)
	}
	if turns := w.claim(h); len(turns) != 2 {
		w.Errorf("%d are due", len(turns))
	}
	w.must(w.store.Resume(w.Context(), h.ID, ""))
	if turns := w.claim(h); len(turns) != 1 { // the other groups' deliveries are in progress
		w.Errorf("after resuming all, %d are due", len(turns))
	}
}

func testDefinitions(w *world) {
	h := w.hook("b", false)
	w.hook("a", false)
	if _, err := w.store.Create(w.Context(), hook.Hook{ID: uuid.NewString(), Name: "b"}, false); !errors.Is(err, hook.ErrExists) {
		w.Errorf("a second hook with the same name: %v", err)
	}
	entry, err := audit.New(w.Context(), "back-end", "update-hook")
	w.must(err)
	changed, err := w.store.Change(w.Context(), "b", func(h *hook.Hook) ([]audit.Entry, error) {
		h.Events, h.Secret, h.Before, h.Enabled, h.Problem = []string{"member.*"}, "new", h.Secret, false, "off"
		return []audit.Entry{entry}, nil
	})
	w.must(err)
	all, err := w.store.Hooks(w.Context())
	w.must(err)
	if len(all) != 2 || all[0].Name != "a" || fmt.Sprint(all[1]) != fmt.Sprint(changed) {
		w.Errorf("%+v, want %+v second", all, changed)
	}
	if changed.Before != h.Secret || changed.Secret != "new" || time.Since(changed.Rotated) > time.Minute || changed.Enabled || changed.Events[0] != "member.*" {
		w.Errorf("%+v", changed)
	}
	entries, err := w.log.Entries(w.Context(), audit.Filter{}, "", 10)
	if err != nil || len(entries) != 1 || entries[0].Action != "update-hook" {
		w.Errorf("%+v, %v", entries, err)
	}
	if _, err := w.store.Change(w.Context(), "c", nil); !errors.Is(err, fault.ErrNotFound) {
		w.Errorf("a change of a missing hook: %v", err)
	}
	for i := range hook.MaxHooks - 2 {
		w.hook(fmt.Sprint("n", i), false)
	}
	if _, err := w.store.Create(w.Context(), hook.Hook{ID: uuid.NewString(), Name: "c"}, false); !errors.Is(err, hook.ErrTooMany) {
		w.Errorf("a hook above the limit: %v", err)
	}
	w.must(w.store.Disable(w.Context(), all[0].ID, "gone"))
	if all, err = w.store.Hooks(w.Context()); err != nil || all[0].Enabled || all[0].Problem != "gone" {
		w.Errorf("%+v, %v", all[0], err)
	}
}

func testDeletedHook(w *world) {
	h := w.hook("a", false)
	w.group()
	w.spread()
	w.must(w.store.Delete(w.Context(), "a"))
	w.wantNone(h)
	if err := w.store.Delete(w.Context(), "a"); !errors.Is(err, fault.ErrNotFound) {
		w.Errorf("deleted twice: %v", err)
	}
	w.hook("a", false)
	w.exec(`UPDATE hooks SET deleted_at = 1 WHERE deleted_at IS NOT NULL`)
	w.sweep()
	var hooks, rows int
	w.must(w.db.View(w.Context(), func(ctx context.Context, q database.Querier) error {
		return q.QueryRowContext(ctx, `SELECT (SELECT COUNT(*) FROM hooks), (SELECT COUNT(*) FROM hook_groups)`).Scan(&hooks, &rows)
	}))
	if hooks != 1 || rows != 0 {
		w.Errorf("%d hooks and %d positions are left", hooks, rows)
	}
}

func testDeletedGroup(w *world) {
	h := w.hook("a", false)
	g := w.group()
	_, err := w.log.Change(w.Context(), g, "ana", func(tx group.Tx) error {
		if _, err := tx.Append(w.Context(), group.GroupDeleted, "ana", struct{}{}); err != nil {
			return err
		}
		return tx.Delete(w.Context())
	})
	w.must(err)
	w.spread()
	t := w.one(h)
	if page := w.read(t); len(page.Events) != 2 || page.Events[1].Type != group.GroupDeleted {
		w.Errorf("%+v", page)
	}
	w.exec(`DELETE FROM events`)
	w.exec(`DELETE FROM groups`)
	if page := w.read(t); !page.Gone {
		w.Errorf("%+v", page)
	}
	w.must(w.store.Drop(w.Context(), t))
	if found, err := w.store.Groups(w.Context(), h.ID, hook.Place{Due: math.MaxInt64}, 10); err != nil || len(found) > 0 {
		w.Errorf("%+v, %v", found, err)
	}
}
