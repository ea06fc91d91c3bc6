package sqlhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/database/databasetest"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/hook"
)

func TestSQLite(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, "")
	run(t, db, tests)
	run(t, db, presenceTests)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	db := databasetest.Open(t, pgtest.Start(t).NewDatabase(t))
	run(t, db, tests)
	run(t, db, map[string]func(w *world){"LateCommit": testLateCommit, "CreateWaits": testCreateWaits})
	run(t, db, presenceTests)
}

var tests = map[string]func(w *world){
	"InOrder":         testInOrder,
	"RepeatIsTheSame": testRepeat,
	"ClaimsEnd":       testClaims,
	"SinceNowOrStart": testSince,
	"Replays":         testReplays,
	"Gaps":            testGaps,
	"Bytes":           testBytes,
	"Parks":           testParks,
	"Revives":         testRevives,
	"Definitions":     testDefinitions,
	"DeletedHook":     testDeletedHook,
	"DeletedGroup":    testDeletedGroup,
	"TwoNodes":        testTwoNodes,
	"ReceiverIsDown":  testDown,
	"HostileProblem":  testHostileProblem,
}

func testInOrder(w *world) {
	h := w.hook("a", false)
	g := w.group()
	w.post(g, 149)
	w.spread()
	t := w.one(h)
	w.wantRange(t, 0, hook.MaxEvents)
	w.wantNone(h)
	page := w.read(t)
	for i, e := range page.Events {
		if e.Version != int64(i)+1 || e.GroupID != g || *e.Actor != "ana" {
			w.Fatalf("event %d is %+v", i, e)
		}
	}
	if len(page.Events) != hook.MaxEvents || page.Gap || page.Upto != hook.MaxEvents {
		w.Fatalf("%d events up to %d, gap %v", len(page.Events), page.Upto, page.Gap)
	}
	next := w.done(t, page.Upto)
	if next == nil {
		w.Fatal("the next delivery is missing")
	}
	w.wantRange(*next, hook.MaxEvents, 150)
	w.post(g, 1) // while a delivery of the group is in progress
	w.spread()
	next = w.done(*next, 150)
	if next == nil {
		w.Fatal("the event that was appended meanwhile is not due")
	}
	w.wantRange(*next, 150, 151)
	if w.done(*next, 151) != nil {
		w.Error("there are more deliveries than the log has events")
	}
	w.spread()
	w.wantNone(h)
	w.post(g, 1)
	w.spread()
	w.wantRange(w.one(h), 151, 152)
}

// testRepeat fails a delivery. The retry must have the same events, even if new ones were
// appended: receivers ignore a delivery whose id they know.
func testRepeat(w *world) {
	h := w.hook("a", false)
	g := w.group()
	w.spread()
	t := w.one(h)
	w.post(g, 3)
	w.spread()
	_, err := w.store.Failed(w.Context(), t, hook.Failure{Status: 500, Problem: "no", Retry: time.Hour})
	w.must(err)
	w.wantNone(h)
	turns, err := w.store.Claim(w.Context(), h.ID, 10, true)
	w.must(err)
	if len(turns) != 1 || turns[0].Attempts != 1 {
		w.Fatalf("due too early: %+v", turns)
	}
	w.wantRange(turns[0], 0, 1)
	if next := w.done(turns[0], 1); next == nil || next.Upto != 4 {
		w.Errorf("after the retry: %+v", next)
	}
}

func testClaims(w *world) {
	h := w.hook("a", false)
	g := w.group()
	w.spread()
	old := w.one(h)
	w.wantNone(h)
	w.exec(`UPDATE hook_groups SET due_at = 1`) // the claim expires
	t := w.one(h)
	if t.Claim == old.Claim {
		w.Fatal("two claims have the same number")
	}
	w.post(g, 1)
	w.spread()
	if next := w.done(old, 1); next != nil {
		w.Error("an old claim is still valid")
	}
	_, err := w.store.Failed(w.Context(), old, hook.Failure{})
	w.must(err)
	w.must(w.store.Release(w.Context(), old))
	w.must(w.store.Drop(w.Context(), old))
	if ok, err := w.store.Narrow(w.Context(), old, 1); err != nil || ok {
		w.Errorf("an old claim can be narrowed: %v, %v", ok, err)
	}
	w.wantNone(h)
	w.must(w.store.Release(w.Context(), t))
	t = w.one(h)
	w.wantRange(t, 0, 1)
	w.exec(`UPDATE hooks SET enabled = FALSE`)
	w.must(w.store.Release(w.Context(), t))
	w.wantNone(h)
	w.exec(`UPDATE hooks SET enabled = TRUE`)
	w.must(w.store.Pause(w.Context(), h.ID, time.Hour))
	w.wantNone(h)
	w.must(w.store.Pause(w.Context(), h.ID, 0))
	w.wantRange(w.one(h), 0, 1)
}

func testSince(w *world) {
	g, idle := w.group(), w.group()
	w.post(g, 4)
	later()
	now, start := w.hook("now", false), w.hook("start", true)
	w.spread()
	w.wantNone(now)
	w.post(g, 2)
	w.spread()
	w.wantRange(w.one(now), 5, 7)
	w.sweep()
	got := map[string]int64{}
	for _, t := range w.claim(start) {
		got[t.GroupID] = t.Upto - t.Version
	}
	if len(got) != 2 || got[g] != 7 || got[idle] != 1 {
		w.Errorf("from the start: %v", got)
	}
}

func testReplays(w *world) {
	h := w.hook("a", false)
	g, other := w.group(), w.group()
	w.post(g, 3)
	later()
	w.post(g, 6)
	w.spread()
	for _, t := range w.claim(h) {
		w.done(t, t.Upto)
	}
	w.wantNone(h)
	version := int64(4)
	w.must(w.store.Rewind(w.Context(), h.ID, g, hook.Point{Version: &version}))
	t := w.one(h)
	w.wantRange(t, 4, 10)
	version = 6
	w.must(w.store.Rewind(w.Context(), h.ID, g, hook.Point{Version: &version})) // while a delivery of the group is in progress
	w.wantNone(h)
	if next := w.done(t, 10); next != nil {
		w.Error("the claim is still valid, although the position was set back")
	}
	t = w.one(h)
	w.wantRange(t, 6, 10)
	w.done(t, 10)
	version = 1000 // this version does not exist yet
	w.must(w.store.Rewind(w.Context(), h.ID, g, hook.Point{Version: &version}))
	t = w.one(h)
	w.wantRange(t, 10, 10)
	w.done(t, 10)
	if err := w.store.Rewind(w.Context(), h.ID, uuid.NewString(), hook.Point{}); !errors.Is(err, fault.ErrNotFound) {
		w.Errorf("a group that does not exist: %v", err)
	}
	fifth := w.read(hook.Turn{GroupID: g, Version: 4, Upto: 5}).Events[0].At
	w.must(w.store.Rewind(w.Context(), h.ID, g, hook.Point{At: fifth}))
	w.wantRange(w.one(h), 4, 10)
	w.must(w.store.RewindAll(w.Context(), h.ID, hook.Point{}))
	w.sweep()
	if turns := w.claim(h); len(turns) != 1 || turns[0].GroupID != other {
		w.Errorf("besides the group with a delivery in progress, %+v are due", turns)
	}
}

func testGaps(w *world) {
	h := w.hook("a", false)
	g := w.group()
	w.post(g, 299)
	w.spread()
	t := w.one(h)
	w.exec(`DELETE FROM events WHERE version <= 250`)
	page := w.read(t)
	if len(page.Events) != 0 || !page.Gap || page.Upto != 250 || page.Gone {
		w.Fatalf("%+v", page)
	}
	next, err := w.store.Done(w.Context(), t, page.Upto, 0, true, true)
	w.must(err)
	if next == nil || !next.Gap {
		w.Fatalf("the gap is missing: %+v", next)
	}
	w.wantRange(*next, 250, 300)
	w.exec(`DELETE FROM events WHERE version <= 270`)
	if page = w.read(*next); !page.Gap || len(page.Events) != 30 || page.Upto != 300 {
		w.Errorf("%d events up to %d, gap %v", len(page.Events), page.Upto, page.Gap)
	}
	if w.done(*next, 300); w.claim(h) != nil {
		w.Error("there is another delivery")
	}
}

func testBytes(w *world) {
	h := w.hook("a", false)
	g := w.group()
	large, err := json.Marshal(map[string]string{"data": string(make([]byte, 5000))}) // 30 kB of \u0000
	w.must(err)
	for range 5 {
		w.must(w.append(g, string(large), nil))
	}
	w.spread()
	t := w.one(h)
	page := w.read(t)
	if page.Upto != 3 || len(page.Events) != 3 {
		w.Fatalf("%d events up to %d", len(page.Events), page.Upto)
	}
	if ok, err := w.store.Narrow(w.Context(), t, page.Upto); err != nil || !ok {
		w.Fatal(ok, err)
	}
	w.must(w.store.Release(w.Context(), t))
	w.wantRange(w.one(h), 0, 3)
}

// testLateCommit marks groups with new events while a transaction that appends an event is
// not committed yet. The event must not be missed.
func testLateCommit(w *world) {
	h := w.hook("a", false)
	g := w.group()
	appended, commit, committed := make(chan struct{}), make(chan struct{}), make(chan error, 1)
	write := func() {
		committed <- w.db.Write(w.Context(), func(ctx context.Context, q database.Querier) error {
			_, err := q.ExecContext(ctx, `UPDATE groups SET version = version + 1 WHERE id = $1`, g)
			if err == nil {
				_, err = q.ExecContext(ctx, `INSERT INTO events (group_id, version, type, data, at) VALUES ($1, 2, 'group.ended', '{}', $2)`, g, time.Now().UnixMicro())
			}
			close(appended)
			<-commit
			return err
		})
	}
	go write()
	<-appended
	w.spread() // the group is marked since its creation, but its row is locked
	w.wantNone(h)
	close(commit)
	w.must(<-committed)
	w.spread()
	w.wantRange(w.one(h), 0, 2)
}

// testCreateWaits creates a hook while another transaction marks groups. The hook must not
// get those marks, but all later ones.
func testCreateWaits(w *world) {
	w.group()
	taken, commit, created := make(chan struct{}), make(chan struct{}), make(chan time.Time, 1)
	go func() {
		_ = w.db.Write(w.Context(), func(ctx context.Context, q database.Querier) error {
			_, err := q.ExecContext(ctx, `UPDATE hook_groups SET head = 1 WHERE FALSE`) // like Spread
			close(taken)
			<-commit
			return err
		})
	}()
	<-taken
	go func() { created <- w.hook("a", false).Since }()
	select {
	case <-created:
		w.Error("the hook was created before the marks were committed")
	case <-time.After(50 * time.Millisecond):
	}
	now := time.Now()
	close(commit)
	if since := <-created; since.Before(now.Add(-time.Second)) {
		w.Errorf("the hook begins at %s, too early for marks committed at %s", since, now)
	}
}
