package sqlhooks_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/hook"
	"github.com/moim-live/moim/modules/hook/sqlhooks"
)

func TestMain(m *testing.M) { childtest.VerifyMain(m) }

func open(t *testing.T, url string) *database.DB {
	t.Helper()
	db, err := database.Open(database.Config{URL: url}, t.TempDir(), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Stop(context.Background()) })
	return db
}

func TestSQLite(t *testing.T) {
	t.Parallel()
	db := open(t, "")
	run(t, db, tests)
	run(t, db, presenceTests)
}

func TestPostgres(t *testing.T) {
	t.Parallel()
	db := open(t, pgtest.Start(t).NewDatabase(t))
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

// run runs tests one after the other on one database: to migrate one for each would take
// much longer than the tests.
func run(t *testing.T, db *database.DB, tests map[string]func(w *world)) {
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, db)
			for _, table := range []string{"hook_presence_groups", "hook_presence", "hook_presence_heads", "hook_groups", "hooks", "outbox", "events", "members", "groups", "audit"} {
				w.exec(`DELETE FROM ` + table)
			}
			test(w)
		})
	}
}

// world is a database with groups and hooks.
type world struct {
	*testing.T
	db    *database.DB
	log   *sqlstore.Store
	store *sqlhooks.Store
}

func newWorld(t *testing.T, db *database.DB) *world {
	return &world{T: t, db: db, log: sqlstore.New(db), store: sqlhooks.New(db)}
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// group makes a group: version 1.
func (w *world) group() string {
	w.Helper()
	id := uuid.NewString()
	now := time.Now().UTC()
	_, _, err := w.log.Create(w.Context(), "ana", group.Group{ID: id, Name: "g", Visibility: group.Private, JoinPolicy: group.JoinOpen, Posting: group.PostingMembers, Attributes: json.RawMessage(`{}`), CreatedAt: now, UpdatedAt: now},
		group.Member{UserID: "ana", Role: group.Owner, JoinedAt: now}, nil, nil)
	w.must(err)
	return id
}

// post appends messages, each in a change of its own.
func (w *world) post(groupID string, n int) {
	w.Helper()
	for range n {
		w.must(w.append(groupID, `{"type":"text","data":"x"}`, nil))
	}
}

func (w *world) append(groupID, data string, before func()) error {
	_, err := w.log.Change(w.Context(), groupID, "ana", func(tx group.Tx) error {
		_, err := tx.Append(w.Context(), group.MessagePosted, "ana", json.RawMessage(data))
		if before != nil {
			before()
		}
		return err
	})
	return err
}

func (w *world) hook(name string, fromStart bool) hook.Hook {
	w.Helper()
	h, err := w.store.Create(w.Context(), hook.Hook{ID: uuid.NewString(), Name: name, Source: hook.FromAPI, URL: "https://example.org/", Events: []string{"*"}, Secret: webhook.NewSecret()}, fromStart)
	w.must(err)
	return h
}

func (w *world) spread() {
	w.Helper()
	for {
		n, err := w.store.Spread(w.Context(), 2)
		w.must(err)
		if n < 2 {
			return
		}
	}
}

func (w *world) sweep() {
	w.Helper()
	for {
		more, err := w.store.Sweep(w.Context())
		w.must(err)
		if !more {
			return
		}
	}
}

// claim claims all groups that are due, and goes where they have to go.
func (w *world) claim(h hook.Hook) []hook.Turn {
	w.Helper()
	turns, err := w.store.Claim(w.Context(), h.ID, 10, false)
	w.must(err)
	for i, t := range turns {
		if t.SeekAt != nil || t.SeekVersion != nil {
			next, ok, err := w.store.Seek(w.Context(), t)
			w.must(err)
			if !ok {
				w.Fatal("the claim is over")
			}
			turns[i] = next
		}
	}
	return turns
}

// one claims the only group that is due.
func (w *world) one(h hook.Hook) hook.Turn {
	w.Helper()
	turns := w.claim(h)
	if len(turns) != 1 {
		w.Fatalf("%d groups are due, want 1: %+v", len(turns), turns)
	}
	return turns[0]
}

func (w *world) read(t hook.Turn) hook.Page {
	w.Helper()
	page, err := w.store.Read(w.Context(), t)
	w.must(err)
	return page
}

func (w *world) done(t hook.Turn, upto int64) *hook.Turn {
	w.Helper()
	next, err := w.store.Done(w.Context(), t, upto, 200, false, true)
	w.must(err)
	return next
}

// exec changes the database behind the store's back.
func (w *world) exec(text string, args ...any) {
	w.Helper()
	w.must(w.db.Write(w.Context(), func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, text, args...)
		return err
	}))
}

func (w *world) wantRange(t hook.Turn, version, upto int64) {
	w.Helper()
	if t.Version != version || t.Upto != upto {
		w.Errorf("the turn is from %d to %d, want from %d to %d", t.Version, t.Upto, version, upto)
	}
}

func (w *world) wantNone(h hook.Hook) {
	w.Helper()
	if turns := w.claim(h); len(turns) > 0 {
		w.Errorf("something is due: %+v", turns)
	}
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
		w.Fatal("there is no more")
	}
	w.wantRange(*next, hook.MaxEvents, 150)
	w.post(g, 1) // while it is being sent
	w.spread()
	next = w.done(*next, 150)
	if next == nil {
		w.Fatal("the event that came meanwhile is not due")
	}
	w.wantRange(*next, 150, 151)
	if w.done(*next, 151) != nil {
		w.Error("there is more than the log")
	}
	w.spread()
	w.wantNone(h)
	w.post(g, 1)
	w.spread()
	w.wantRange(w.one(h), 151, 152)
}

// testRepeat fails a delivery. The repeat has the same events, whatever came meanwhile:
// receivers drop what has a known id.
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
		w.Fatalf("early: %+v", turns)
	}
	w.wantRange(turns[0], 0, 1)
	if next := w.done(turns[0], 1); next == nil || next.Upto != 4 {
		w.Errorf("after the repeat: %+v", next)
	}
}

func testClaims(w *world) {
	h := w.hook("a", false)
	g := w.group()
	w.spread()
	old := w.one(h)
	w.wantNone(h)
	w.exec(`UPDATE hook_groups SET due_at = 1`) // the claim's time is over
	t := w.one(h)
	if t.Claim == old.Claim {
		w.Fatal("two claims have one number")
	}
	w.post(g, 1)
	w.spread()
	if next := w.done(old, 1); next != nil {
		w.Error("an old claim goes on")
	}
	_, err := w.store.Failed(w.Context(), old, hook.Failure{})
	w.must(err)
	w.must(w.store.Release(w.Context(), old))
	w.must(w.store.Drop(w.Context(), old))
	if ok, err := w.store.Narrow(w.Context(), old, 1); err != nil || ok {
		w.Errorf("an old claim narrows: %v, %v", ok, err)
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

// later waits until the next millisecond: two instants that are stored in one are the same.
func later() {
	for now := time.Now().UnixMilli(); time.Now().UnixMilli() <= now; {
		runtime.Gosched()
	}
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
	w.must(w.store.Rewind(w.Context(), h.ID, g, hook.Point{Version: &version})) // while it is being sent
	w.wantNone(h)
	if next := w.done(t, 10); next != nil {
		w.Error("the claim goes on, though the position was set back")
	}
	t = w.one(h)
	w.wantRange(t, 6, 10)
	w.done(t, 10)
	version = 1000 // there is no such event yet
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
		w.Errorf("beside the group that is being sent, %+v are due", turns)
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
		w.Fatalf("the gap is forgotten: %+v", next)
	}
	w.wantRange(*next, 250, 300)
	w.exec(`DELETE FROM events WHERE version <= 270`)
	if page = w.read(*next); !page.Gap || len(page.Events) != 30 || page.Upto != 300 {
		w.Errorf("%d events up to %d, gap %v", len(page.Events), page.Upto, page.Gap)
	}
	if w.done(*next, 300); w.claim(h) != nil {
		w.Error("there is more")
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
		w.Errorf("a parked group is tried: %+v, %v", turns, err)
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
	if turns := w.claim(h); len(turns) != 1 { // the others are being sent
		w.Errorf("after resuming all, %d are due", len(turns))
	}
}

func testDefinitions(w *world) {
	h := w.hook("b", false)
	w.hook("a", false)
	if _, err := w.store.Create(w.Context(), hook.Hook{ID: uuid.NewString(), Name: "b"}, false); !errors.Is(err, hook.ErrExists) {
		w.Errorf("a second hook of the name: %v", err)
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
		w.Errorf("no such hook: %v", err)
	}
	for i := range hook.MaxHooks - 2 {
		w.hook(fmt.Sprint("n", i), false)
	}
	if _, err := w.store.Create(w.Context(), hook.Hook{ID: uuid.NewString(), Name: "c"}, false); !errors.Is(err, hook.ErrTooMany) {
		w.Errorf("one too many: %v", err)
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

// testLateCommit takes marks while an event is about to be committed.
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
	w.spread() // finds the group marked since its creation, but the row is locked
	w.wantNone(h)
	close(commit)
	w.must(<-committed)
	w.spread()
	w.wantRange(w.one(h), 0, 2)
}

// testCreateWaits makes a hook while marks are being taken: those are not the hook's, but
// all later ones are.
func testCreateWaits(w *world) {
	w.group()
	taken, commit, created := make(chan struct{}), make(chan struct{}), make(chan time.Time, 1)
	go func() {
		_ = w.db.Write(w.Context(), func(ctx context.Context, q database.Querier) error {
			_, err := q.ExecContext(ctx, `UPDATE hook_groups SET head = 1 WHERE FALSE`) // as Spread
			close(taken)
			<-commit
			return err
		})
	}()
	<-taken
	go func() { created <- w.hook("a", false).Since }()
	select {
	case <-created:
		w.Error("the hook was made meanwhile")
	case <-time.After(50 * time.Millisecond):
	}
	now := time.Now()
	close(commit)
	if since := <-created; since.Before(now.Add(-time.Second)) {
		w.Errorf("the hook begins at %s, before %s", since, now)
	}
}
