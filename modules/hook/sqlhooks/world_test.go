package sqlhooks_test

import (
	"context"
	"encoding/json"
	"runtime"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/hook"
	"github.com/moim-live/moim/modules/hook/sqlhooks"
)

func TestMain(m *testing.M) { childtest.VerifyMain(m) }

// run runs the tests in sequence on one database. Migrating a database for each test would
// take much longer than the tests.
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

// group creates a group. Its version is 1.
func (w *world) group() string {
	w.Helper()
	id := uuid.NewString()
	now := time.Now().UTC()
	_, _, err := w.log.Create(w.Context(), "ana", group.Group{ID: id, Name: "g", Visibility: group.Private, JoinPolicy: group.JoinOpen, Posting: group.PostingMembers, Attributes: json.RawMessage(`{}`), CreatedAt: now, UpdatedAt: now},
		group.Member{UserID: "ana", Role: group.Owner, JoinedAt: now}, nil, nil)
	w.must(err)
	return id
}

// post appends n messages, each in its own transaction.
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

// claim claims all groups that are due, and moves each one to the position that it must
// continue from.
func (w *world) claim(h hook.Hook) []hook.Turn {
	w.Helper()
	turns, err := w.store.Claim(w.Context(), h.ID, 10, false)
	w.must(err)
	for i, t := range turns {
		if t.SeekAt != nil || t.SeekVersion != nil {
			next, ok, err := w.store.Seek(w.Context(), t)
			w.must(err)
			if !ok {
				w.Fatal("the claim has expired")
			}
			turns[i] = next
		}
	}
	return turns
}

// one claims the only group that is due. It fails the test if there is not exactly one.
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

// exec changes the database directly, without the store.
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

// later waits until the next millisecond. Times are stored in milliseconds, so two times in
// the same millisecond are equal.
func later() {
	for now := time.Now().UnixMilli(); time.Now().UnixMilli() <= now; {
		runtime.Gosched()
	}
}
