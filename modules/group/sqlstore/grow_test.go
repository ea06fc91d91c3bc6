package sqlstore_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// TestGrow runs every statement of the store on a database with many groups. It fails if a
// statement reads the whole of a growing table, and prints the time of each call.
//
// MOIM_GROW is the number of groups, or several numbers. MOIM_GROW_ROUNDS is the number of
// times that each call is measured. See make grow.
func TestGrow(t *testing.T) {
	t.Parallel()
	childtest.Bulk(t)
	sizes := []int{1000}
	if list := os.Getenv("MOIM_GROW"); list != "" {
		sizes = nil
		for text := range strings.FieldsSeq(strings.ReplaceAll(list, ",", " ")) {
			n, err := strconv.Atoi(text)
			if err != nil || n < 100 {
				t.Fatalf("MOIM_GROW=%s: want numbers of groups", list)
			}
			sizes = append(sizes, n)
		}
	}
	rounds := 3
	if text := os.Getenv("MOIM_GROW_ROUNDS"); text != "" {
		var err error
		if rounds, err = strconv.Atoi(text); err != nil || rounds < 1 {
			t.Fatalf("MOIM_GROW_ROUNDS=%s: want a number", text)
		}
	}
	for _, n := range sizes {
		t.Run(fmt.Sprintf("Postgres-%d", n), func(t *testing.T) {
			url := servicetest.NewPostgres(t)
			if n > 1000 {
				url = pgtest.Start(t, "shared_buffers = 512MB", "max_wal_size = 4GB").NewDatabase(t)
			}
			testGrow(t, n, rounds, url)
		})
		t.Run(fmt.Sprintf("SQLite-%d", n), func(t *testing.T) { testGrow(t, n, rounds, "") })
	}
}

func testGrow(t *testing.T, n, rounds int, url string) {
	t.Helper()
	db := servicetest.OpenDatabase(t, url)
	began := time.Now()
	g := grow(t, db, url, n)
	t.Logf("%d groups, filled in %s", n, time.Since(began).Round(time.Millisecond))
	if url != "" {
		analyze(t, db)
	}
	r := &runner{t: t, g: g, rounds: rounds}
	r.watching = g.store.Watch(func(text string, a []any) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.statements = append(r.statements, statement{text, a})
	})
	for _, c := range calls(g) {
		r.measure(c)
	}
	r.searchTogether()
	r.forget()
	p := newPlanner(t, db, url)
	for _, c := range r.done {
		t.Logf("%-44s p50 %9s  p99 %9s", c.name, round(at99(c.took, 50)), round(at99(c.took, 99)))
		for _, s := range c.statements {
			if plan := p.plan(t, s); plan != "" {
				t.Logf("    %s", plan)
			}
		}
	}
	for _, w := range p.whole {
		t.Errorf("a statement reads all of %s", w)
	}
}

func analyze(t *testing.T, db *database.DB) {
	t.Helper()
	for _, table := range []string{"groups", "members", "events", "heads", "user_locks", "outbox", "bans", "mutes", "requests", "invites", "receipts", "audit", "group_attributes", "group_sizes"} {
		exec(t, db, `ANALYZE `+table)
	}
}

// call is a call of the store by a user or a node.
type call struct {
	name string
	do   func(ctx context.Context, s *sqlstore.Store, i int) error
	undo func(ctx context.Context, s *sqlstore.Store, i int) error // runs after each call, and is not measured; nil: nothing

	statements []statement
	took       []time.Duration
}

// runner measures calls and records their statements.
type runner struct {
	t        *testing.T
	g        *grown
	rounds   int
	watching *sqlstore.Store
	done     []call

	mu         sync.Mutex
	statements []statement
}

func (r *runner) measure(c call) {
	r.t.Helper()
	ctx := r.t.Context()
	for i := range r.rounds + 1 {
		s := r.g.store
		if i == 0 { // the first call also warms up
			s, r.statements = r.watching, nil
		}
		began := time.Now()
		if err := c.do(ctx, s, i); err != nil {
			r.t.Fatalf("%s: %v", c.name, err)
		}
		if took := time.Since(began); i > 0 {
			c.took = append(c.took, took)
		} else {
			c.statements = r.statements
		}
		if c.undo != nil {
			if err := c.undo(ctx, r.g.store, i); err != nil {
				r.t.Fatalf("undo %s: %v", c.name, err)
			}
		}
	}
	r.done = append(r.done, c)
}

// searchTogether measures 16 concurrent searches.
func (r *runner) searchTogether() {
	r.t.Helper()
	for _, query := range searches {
		c := call{name: "search from 16 callers: " + query}
		var all sync.WaitGroup
		for range 16 {
			all.Go(func() {
				for range max(2, r.rounds/10) {
					began := time.Now()
					if _, err := r.g.store.PublicGroups(r.t.Context(), query, "", 50); err != nil {
						r.t.Error(err)
					}
					took := time.Since(began)
					r.mu.Lock()
					c.took = append(c.took, took)
					r.mu.Unlock()
				}
			})
		}
		all.Wait()
		r.done = append(r.done, c)
	}
}

// forget measures posts to other groups while a group with a long log is removed.
func (r *runner) forget() {
	r.t.Helper()
	ctx, s := r.t.Context(), r.g.store
	exec(r.t, r.g.db, `UPDATE groups SET deleted_at = 1 WHERE id = 'x-log' OR id = 'x-crowd'`)
	post := call{name: "post a message during a removal"}
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
			}
			began := time.Now()
			if _, err := s.Change(ctx, r.g.ids[2], "", postOf(ctx)); err != nil {
				r.t.Error(err)
				return
			}
			post.took = append(post.took, time.Since(began))
		}
	}()
	sweep := call{name: "remove the long log and the crowd (a call of Trim)"}
	r.statements = nil
	began := time.Now()
	for more := true; more; {
		from := time.Now()
		var err error
		if more, err = r.watching.Trim(ctx, upkeep.Retention{Count: 10_000_000, Age: time.Hour}, 200); err != nil {
			r.t.Fatal(err)
		}
		sweep.took = append(sweep.took, time.Since(from))
	}
	r.t.Logf("removed in %s", time.Since(began).Round(time.Millisecond))
	close(stop)
	<-stopped
	sweep.statements = r.statements
	if _, err := s.Read(ctx, r.g.log, 0, 1, nil); err == nil {
		r.t.Error("the long log is not removed")
	}
	r.done = append(r.done, post, sweep)
}

func at99(took []time.Duration, percent int) time.Duration {
	sorted := slices.Sorted(slices.Values(took))
	return sorted[min(len(sorted)*percent/100, len(sorted)-1)]
}

func round(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

func postOf(ctx context.Context) func(group.Tx) error {
	return func(tx group.Tx) error {
		tx.MarkRead("alice")
		_, err := tx.Append(ctx, group.MessagePosted, "alice", map[string]string{"text": "hello"})
		return err
	}
}

var (
	searches  = []string{"xyzzy", "quokka", "study", "모임", "room of", "vintage", "q"}
	errRefuse = errors.New("refuse")
	maxKeep   = upkeep.Retention{Count: 10_000_000, Age: 1000 * time.Hour, Bytes: 512 << 20}
)

// joining returns a function that adds users to a group, as the service does.
func joining(groupID string, users ...string) func(context.Context, *sqlstore.Store, int) error {
	return func(ctx context.Context, s *sqlstore.Store, _ int) error {
		_, err := s.Change(ctx, groupID, "", func(tx group.Tx) error {
			if _, err := tx.Outsiders(ctx, users...); err != nil {
				return err
			}
			if _, err := tx.Tally(ctx, users...); err != nil {
				return err
			}
			for _, user := range users {
				if m, err := tx.Member(ctx, user); err != nil || m != nil {
					return errors.Join(err, fmt.Errorf("a member already: %v", m))
				}
				if err := tx.AddMember(ctx, group.Member{UserID: user, Role: group.MemberRole}); err != nil {
					return err
				}
			}
			_, err := tx.Append(ctx, group.MemberJoined, users[0], struct{}{})
			return err
		})
		return err
	}
}

func leaving(groupID string, users ...string) func(context.Context, *sqlstore.Store, int) error {
	return func(ctx context.Context, s *sqlstore.Store, _ int) error {
		_, err := s.Change(ctx, groupID, "", func(tx group.Tx) error {
			for _, user := range users {
				if err := tx.RemoveMember(ctx, user); err != nil {
					return err
				}
			}
			_, err := tx.Append(ctx, group.MemberLeft, users[0], struct{}{})
			return err
		})
		return err
	}
}

func creating(user string) func(context.Context, *sqlstore.Store, int) error {
	return func(ctx context.Context, s *sqlstore.Store, _ int) error {
		g := fixture()
		g.ID, g.Name, g.Visibility = uuid.Must(uuid.NewV7()).String(), "a new group of a user", group.Public
		_, _, err := s.Create(ctx, "alice", g, group.Member{UserID: user, Role: group.Owner}, func(group.Tally) error { return nil }, nil)
		return err
	}
}
