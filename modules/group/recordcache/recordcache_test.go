package recordcache_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/cache"
	"github.com/moim-live/moim/modules/database/databasetest"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/recordcache"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// counted is a store that counts how many whole records were read.
type counted struct {
	freshStore
	records atomic.Int64
	reading func() // runs before a record is read, if it is set
}

type freshStore interface {
	group.Repository
	recordcache.FreshReader
}

func (c *counted) Group(ctx context.Context, groupID, userID string) (group.Group, *group.Member, error) {
	c.records.Add(1)
	if c.reading != nil {
		c.reading()
	}
	return c.freshStore.Group(ctx, groupID, userID)
}

func newCached(t *testing.T) (*recordcache.Repository, *counted, *cache.Cache) {
	t.Helper()
	records, err := cache.New(cache.Config{}, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	store := &counted{freshStore: sqlstore.New(databasetest.Open(t, ""))}
	return recordcache.New(store, store, records), store, records
}

// fill creates a group with a value in every field.
func fill(t *testing.T, repo group.Repository, id string) group.Group {
	t.Helper()
	capacity, at := 7, time.Date(2026, 3, 1, 12, 0, 0, 123456000, time.UTC)
	ends := at.Add(time.Hour)
	g, _, err := repo.Create(t.Context(), "alice", group.Group{
		ID: id, Name: "모임 <b>&", Description: "line\nline", Visibility: group.Public, JoinPolicy: group.JoinRequest,
		Capacity: &capacity, Attributes: json.RawMessage(`{"room":7,"n":1.50,"s":"<&>\u2028"}`), OwnerID: "ana",
		CreatedAt: at, UpdatedAt: at, EndsAt: &ends, RemindBefore: []int{60, 5},
	}, group.Member{UserID: "ana", Name: "Ana", Role: group.Owner, JoinedAt: at}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return g
}

func rename(name string) func(group.Tx) error {
	return func(tx group.Tx) error {
		g := tx.Group()
		g.Name = name
		if err := tx.SetGroup(context.Background(), g); err != nil {
			return err
		}
		_, err := tx.Append(context.Background(), group.GroupUpdated, "ana", struct{}{})
		return err
	}
}

func post(tx group.Tx) error {
	_, err := tx.Append(context.Background(), group.MessagePosted, "ana", struct{}{})
	return err
}

func change(t *testing.T, repo group.Repository, id string, fn func(group.Tx) error) {
	t.Helper()
	if _, err := repo.Change(t.Context(), id, "", fn); err != nil {
		t.Fatal(err)
	}
}

// same fails the test if the cached group differs from the stored one.
func same(t *testing.T, c *recordcache.Repository, store *counted, id, userID string) {
	t.Helper()
	got, gotMember, err := c.Group(t.Context(), id, userID)
	if err != nil {
		t.Fatal(err)
	}
	want, wantMember, err := store.freshStore.Group(t.Context(), id, userID)
	if err != nil {
		t.Fatal(err)
	}
	sameJSON := cmp.Comparer(func(a, b json.RawMessage) bool {
		var x, y any
		return a == nil && b == nil || json.Unmarshal(a, &x) == nil && json.Unmarshal(b, &y) == nil && cmp.Equal(x, y)
	})
	if diff := cmp.Diff(want, got, sameJSON); diff != "" {
		t.Errorf("the group (-store +cached):\n%s", diff)
	}
	if diff := cmp.Diff(wantMember, gotMember, sameJSON); diff != "" {
		t.Errorf("the member (-store +cached):\n%s", diff)
	}
}

func TestReadsARecordOnce(t *testing.T) {
	t.Parallel()
	c, store, _ := newCached(t)
	fill(t, c, "g")
	fill(t, c, "h")
	for _, user := range []string{"ana", "bo", "", "ana"} {
		same(t, c, store, "g", user)
	}
	if n := store.records.Load(); n != 1 {
		t.Errorf("%d reads of a record that did not change", n)
	}
	same(t, c, store, "h", "ana")

	// Changes that do not touch the record do not remove it from the cache, but are
	// visible.
	store.records.Store(0)
	change(t, c, "g", post)
	same(t, c, store, "g", "ana")
	change(t, c, "g", func(tx group.Tx) error {
		if err := tx.AddMember(t.Context(), group.Member{UserID: "bo", Role: group.Admin, JoinedAt: time.Now()}); err != nil {
			return err
		}
		_, err := tx.Append(t.Context(), group.MemberJoined, "bo", struct{}{})
		return err
	})
	same(t, c, store, "g", "bo")
	same(t, c, store, "g", "ana")
	change(t, store, "g", func(tx group.Tx) error { // on another node
		if err := tx.RemoveMember(t.Context(), "bo"); err != nil {
			return err
		}
		_, err := tx.Append(t.Context(), group.MemberLeft, "bo", struct{}{})
		return err
	})
	same(t, c, store, "g", "bo")
	if n := store.records.Load(); n != 0 {
		t.Errorf("%d reads of a record that did not change", n)
	}
}

func TestAnswersNoOldRecord(t *testing.T) {
	t.Parallel()
	c, store, records := newCached(t)
	fill(t, c, "g")
	same(t, c, store, "g", "ana")

	change(t, c, "g", rename("here"))
	if n := drops(t, records, "group:g"); n != 1 {
		t.Errorf("the change left the old record in the cache")
	}
	same(t, c, store, "g", "ana")

	change(t, store, "g", rename("on a node that nobody hears"))
	same(t, c, store, "g", "ana")

	change(t, c, "g", post)
	if n := drops(t, records, "group:g"); n != 0 {
		t.Error("a message dropped the record")
	}

	// The record changes between the two reads.
	for i := range 3 {
		change(t, store, "g", rename(fmt.Sprint("before ", i)))
		once := sync.OnceFunc(func() { change(t, store, "g", rename(fmt.Sprint("between ", i))) })
		store.reading = once
		same(t, c, store, "g", "ana")
		store.reading = nil
		same(t, c, store, "g", "ana")
	}
}

// drops returns 1 if the cache does not have the key.
func drops(t *testing.T, records *cache.Cache, key string) int {
	t.Helper()
	missing := errors.New("missing")
	_, err := records.Get(t.Context(), key, 0, func(context.Context) (cache.Entry, error) { return cache.Entry{}, missing })
	if errors.Is(err, missing) {
		return 1
	}
	if err != nil {
		t.Fatal(err)
	}
	return 0
}

func TestDoesNotFindTheDeleted(t *testing.T) {
	t.Parallel()
	c, store, records := newCached(t)
	remove := func(tx group.Tx) error {
		if err := tx.Delete(t.Context()); err != nil {
			return err
		}
		_, err := tx.Append(t.Context(), group.GroupDeleted, "ana", struct{}{})
		return err
	}
	for name, repo := range map[string]group.Repository{"here": c, "elsewhere": store} {
		id := "g-" + name
		fill(t, c, id)
		same(t, c, store, id, "ana")
		change(t, repo, id, remove)
		if _, _, err := c.Group(t.Context(), id, "ana"); !errors.Is(err, fault.ErrNotFound) {
			t.Errorf("deleted %s: %v", name, err)
		}
	}
	if drops(t, records, "group:g-here") != 1 {
		t.Error("the cache still has the record of a deleted group")
	}
	if _, _, err := c.Group(t.Context(), "unknown", "ana"); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("unknown: %v", err)
	}
	// The group is deleted between the two reads.
	fill(t, c, "late")
	store.reading = func() { change(t, store, "late", remove) }
	if _, _, err := c.Group(t.Context(), "late", "ana"); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("deleted while it was read: %v", err)
	}
}

// TestTrustsOnlyWhatItMust checks that wrong or forged records in a shared cache are not
// used. Permissions must always come from the database.
func TestTrustsOnlyWhatItMust(t *testing.T) {
	t.Parallel()
	for name, data := range map[string]string{
		"no JSON":       `{`,
		"not an object": `7`,
		"null":          `null`,
		"another group": `{"id":"h","name":"h","revision":1,"updatedAt":"2026-03-01T12:00:00.123456Z"}`,
		"another time":  `{"id":"g","name":"h","revision":1,"updatedAt":"2026-03-01T12:00:00.123457Z"}`,
		"another one":   `{"id":"g","name":"h","revision":2,"updatedAt":"2026-03-01T12:00:00.123456Z"}`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, store, records := newCached(t)
			fill(t, c, "g")
			put(t, records, "group:g", cache.Entry{Revision: 1, Data: []byte(data)})
			same(t, c, store, "g", "ana")
			before := store.records.Load()
			same(t, c, store, "g", "ana")
			same(t, c, store, "g", "ana")
			if n := store.records.Load() - before; n > 1 {
				t.Errorf("a wrong record stays in the cache: %d reads", n)
			}
		})
	}
	t.Run("permissions", func(t *testing.T) {
		t.Parallel()
		c, store, records := newCached(t)
		g := fill(t, c, "g")
		change(t, store, "g", func(tx group.Tx) error {
			g = tx.Group()
			g.Visibility, g.Posting = group.Private, group.PostingAdmins
			if err := tx.SetGroup(t.Context(), g); err != nil {
				return err
			}
			_, err := tx.Append(t.Context(), group.GroupUpdated, "ana", struct{}{})
			return err
		})
		forged := g
		forged.Visibility, forged.Revision, forged.MemberCount = group.Public, 2, 99
		forged.Posting = group.PostingMembers
		data, err := json.Marshal(forged)
		if err != nil {
			t.Fatal(err)
		}
		put(t, records, "group:g", cache.Entry{Revision: 2, Data: data})
		got, member, err := c.Group(t.Context(), "g", "eve")
		if err != nil || member != nil || got.Visibility != group.Private || got.Posting != group.PostingAdmins || got.MemberCount != 1 {
			t.Errorf("got visibility %s, posting %s, member %v, %d members, %v", got.Visibility, got.Posting, member, got.MemberCount, err)
		}
	})
}

func put(t *testing.T, records *cache.Cache, key string, e cache.Entry) {
	t.Helper()
	if _, err := records.Get(t.Context(), key, e.Revision, func(context.Context) (cache.Entry, error) { return e, nil }); err != nil {
		t.Fatal(err)
	}
}

// TestIsNeverBehind checks that a read never returns an older name than the last one that
// was acknowledged.
func TestIsNeverBehind(t *testing.T) {
	t.Parallel()
	c, _, _ := newCached(t)
	fill(t, c, "g")
	change(t, c, "g", rename("0"))
	var acknowledged atomic.Int64
	done := make(chan struct{})
	var all sync.WaitGroup
	for range 4 {
		all.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				least := acknowledged.Load()
				g, _, err := c.Group(t.Context(), "g", "ana")
				if err != nil {
					t.Error(err)
					return
				}
				var n int64
				if _, err := fmt.Sscan(g.Name, &n); err != nil || n < least || g.Version < g.Revision {
					t.Errorf("name %q at version %d, revision %d, after %d was acknowledged", g.Name, g.Version, g.Revision, least)
					return
				}
			}
		})
	}
	for i := range 100 {
		change(t, c, "g", rename(fmt.Sprint(i+1)))
		acknowledged.Store(int64(i + 1))
	}
	close(done)
	all.Wait()
}

func TestPassesErrorsOn(t *testing.T) {
	t.Parallel()
	c, store, _ := newCached(t)
	fill(t, c, "g")
	refused := errors.New("refused")
	if _, err := c.Change(t.Context(), "g", "", func(group.Tx) error { return refused }); !errors.Is(err, refused) {
		t.Errorf("got %v", err)
	}
	same(t, c, store, "g", "ana")
	// A database that does not answer in time counts as unavailable.
	release := make(chan struct{})
	defer close(release)
	change(t, store, "g", rename("new"))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	store.reading = func() { <-release }
	if _, _, err := c.Group(ctx, "g", "ana"); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
	if _, err := c.Change(t.Context(), "xxxxxxxxxx", "", post); !errors.Is(err, fault.ErrNotFound) {
		t.Errorf("got %v", err)
	}
}

func TestATransferDropsTheRecord(t *testing.T) {
	t.Parallel()
	c, store, records := newCached(t)
	fill(t, c, "g")
	change(t, c, "g", func(tx group.Tx) error {
		if err := tx.AddMember(t.Context(), group.Member{UserID: "bo", Role: group.MemberRole, JoinedAt: time.Now()}); err != nil {
			return err
		}
		_, err := tx.Append(t.Context(), group.MemberJoined, "bo", struct{}{})
		return err
	})
	same(t, c, store, "g", "ana")
	change(t, c, "g", func(tx group.Tx) error {
		if err := tx.SetOwner(t.Context(), "bo", time.Now()); err != nil {
			return err
		}
		_, err := tx.Append(t.Context(), group.OwnerTransferred, "ana", struct{}{})
		return err
	})
	if drops(t, records, "group:g") != 1 {
		t.Error("the transfer left the old record in the cache")
	}
	same(t, c, store, "g", "ana")
	same(t, c, store, "g", "bo")
}
