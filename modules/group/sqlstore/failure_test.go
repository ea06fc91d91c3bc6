package sqlstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/grouptest"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// quickly is the maximum time of a call while the database is down.
const quickly = 4 * time.Second

func TestPostgresDown(t *testing.T) {
	t.Parallel()
	server := pgtest.Start(t)
	s := sqlstore.New(servicetest.OpenDatabase(t, server.NewDatabase(t)))
	id := create(t, s)
	if _, err := s.Change(t.Context(), id, "", post(t.Context())); err != nil {
		t.Fatal(err)
	}
	server.Kill()
	unavailable(t, s, id)
	server.Restart()
	if _, err := s.Change(t.Context(), id, "", post(t.Context())); err != nil {
		t.Fatalf("after the restart: %v", err)
	}
	page, err := s.Read(t.Context(), id, 0, 10, nil)
	if err != nil || page.Group.Version != 3 || len(page.Events) != 3 {
		t.Errorf("version %d, %d events, %v; want 3, 3", page.Group.Version, len(page.Events), err)
	}
}

func TestClosedDatabase(t *testing.T) {
	t.Parallel()
	db := servicetest.OpenDatabase(t, "")
	s := sqlstore.New(db)
	id := create(t, s)
	if err := db.Stop(context.Background()); err != nil {
		t.Fatal(err)
	}
	unavailable(t, s, id)
}

// unavailable checks that every method of a store returns unavailable while its database is
// down.
func unavailable(t *testing.T, s grouptest.Store, id string) {
	t.Helper()
	ctx := t.Context()
	for name, call := range map[string]func() error{
		"Create":       func() error { _, _, err := s.Create(ctx, "alice", fixture(), owner, nil, nil); return err },
		"Change":       func() error { _, err := s.Change(ctx, id, "", post(ctx)); return err },
		"Group":        func() error { _, _, err := s.Group(ctx, id, "alice"); return err },
		"Members":      func() error { _, _, err := s.Members(ctx, id, "", 10); return err },
		"PublicGroups": func() error { _, err := s.PublicGroups(ctx, "", "", 10); return err },
		"NamedIn":      func() error { _, err := s.NamedIn(ctx, "alice", "", 10); return err },
		"UserGroups":   func() error { _, err := s.UserGroups(ctx, "alice", "", 10); return err },
		"Read":         func() error { _, err := s.Read(ctx, id, 0, 10, nil); return err },
		"Heads":        func() error { _, err := s.Heads(ctx, time.Hour, nil); return err },
		"Relay":        func() error { _, err := s.Relay(ctx, 0, 10, func(group.Event) error { return nil }); return err },
		"Bans":         func() error { _, err := s.Bans(ctx, id, "", time.Now(), 10); return err },
		"Mutes":        func() error { _, err := s.Mutes(ctx, id, "", time.Now(), 10); return err },
		"Applicants":   func() error { _, err := s.Applicants(ctx, id, "", 10); return err },
		"Invites":      func() error { _, err := s.Invites(ctx, id, "", 10); return err },
		"InvitedTo":    func() error { _, err := s.InvitedTo(ctx, "hash"); return err },
		"Published":    func() error { return s.Published(ctx, []group.Ref{{GroupID: id, Version: 1}}) },
	} {
		began := time.Now()
		err := call()
		if !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("%s: %v, want unavailable", name, err)
		}
		if took := time.Since(began); took > quickly && errors.Is(err, context.DeadlineExceeded) { // waited for its deadline; other calls may be slow because of the machine
			t.Errorf("%s took %s: %v", name, took, err)
		}
	}
}

// testHeldRelay stops one relay in the middle of its work. Another relay must skip its
// rows, and marking rows as published must not wait for it.
func testHeldRelay(t *testing.T) {
	url := servicetest.NewPostgres(t)
	s, other := sqlstore.New(servicetest.OpenDatabase(t, url)), sqlstore.New(servicetest.OpenDatabase(t, url))
	ctx, id := t.Context(), create(t, s)
	for range 3 {
		if _, err := s.Change(ctx, id, "", post(ctx)); err != nil {
			t.Fatal(err)
		}
	}
	var (
		holder  sync.WaitGroup
		first   []int64
		held    = make(chan struct{})
		release = make(chan struct{})
	)
	holder.Go(func() {
		n, err := s.Relay(ctx, -time.Hour, 2, func(e group.Event) error {
			if first = append(first, e.Version); len(first) == 1 {
				close(held)
				<-release
			}
			return nil
		})
		if n != 2 || err != nil {
			t.Errorf("the stopped relay marked %d, %v; want 2", n, err)
		}
	})
	<-held
	var second []int64
	n, err := other.Relay(ctx, -time.Hour, 10, func(e group.Event) error {
		second = append(second, e.Version)
		return nil
	})
	if n != 2 || err != nil || len(second) != 2 || second[0] != 3 || second[1] != 4 {
		t.Errorf("the other relay published %v and marked %d, %v; want 3 and 4", second, n, err)
	}
	if err := other.Published(ctx, []group.Ref{{GroupID: id, Version: 1}, {GroupID: id, Version: 2}}); err != nil {
		t.Errorf("marking events that a relay holds: %v", err)
	}
	if _, err := other.Change(ctx, id, "", post(ctx)); err != nil {
		t.Errorf("a change while a relay works: %v", err)
	}
	close(release)
	holder.Wait()
	if len(first) != 2 || first[0] != 1 || first[1] != 2 {
		t.Errorf("the stopped relay published %v, want 1 and 2", first)
	}
}

// testTwoNodes changes a group from two nodes at once. Versions and seats must stay correct
// because of the row's lock, without any lock in the process.
func testTwoNodes(t *testing.T) {
	const seats, users = 20, 60
	url := servicetest.NewPostgres(t)
	nodes := []*sqlstore.Store{sqlstore.New(servicetest.OpenDatabase(t, url)), sqlstore.New(servicetest.OpenDatabase(t, url))}
	ctx, id, full := t.Context(), create(t, nodes[0]), errors.New("full")
	var all sync.WaitGroup
	for i := range users {
		all.Go(func() {
			_, err := nodes[i%2].Change(ctx, id, "", func(tx group.Tx) error {
				if tx.Group().MemberCount == seats {
					return full
				}
				if err := tx.AddMember(ctx, group.Member{UserID: strconv.Itoa(i), Role: group.MemberRole}); err != nil {
					return err
				}
				_, err := tx.Append(ctx, group.MemberJoined, "", struct{}{})
				return err
			})
			if err != nil && !errors.Is(err, full) {
				t.Errorf("join: %v", err)
			}
		})
	}
	all.Wait()
	page, err := nodes[0].Read(ctx, id, 0, users, nil)
	if err != nil {
		t.Fatal(err)
	}
	if page.Group.MemberCount != seats || page.Group.Version != seats || len(page.Events) != seats {
		t.Errorf("%d members, version %d, %d events; want %d of each", page.Group.MemberCount, page.Group.Version, len(page.Events), seats)
	}
}

// testBusyGroup locks the row of one group while many callers want to change it. Changes of
// other groups must not be delayed.
func testBusyGroup(t *testing.T) {
	var err error
	for range 3 { // retries, because a busy machine may be slow
		if err = changeBesideABusyGroup(t); err == nil {
			return
		}
	}
	t.Errorf("a change of another group: %v", err)
}

// changeBesideABusyGroup returns the error of a change of another group.
func changeBesideABusyGroup(t *testing.T) error {
	t.Helper()
	s := sqlstore.New(servicetest.OpenDatabase(t, servicetest.NewPostgres(t)+"&pool_max_conns=3"))
	busy, quiet := create(t, s), create(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	held := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		_, err := s.Change(ctx, busy, "", func(group.Tx) error {
			close(held)
			<-ctx.Done()
			return ctx.Err()
		})
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the change that holds the row: %v", err)
		}
	})
	<-held
	for range 20 {
		all.Go(func() {
			_, err := s.Change(ctx, busy, "", post(ctx))
			if !errors.Is(err, context.Canceled) && !errors.Is(err, fault.ErrUnavailable) { // on a busy machine, the wait may be too long
				t.Errorf("a canceled change: %v", err)
			}
		})
	}
	late, stop := context.WithTimeout(ctx, 50*time.Millisecond)
	defer stop()
	if _, err := s.Change(late, busy, "", post(late)); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("a change that waited too long: %v, want unavailable", err)
	}
	soon, stop := context.WithTimeout(ctx, quickly)
	defer stop()
	_, beside := s.Change(soon, quiet, "", post(soon))
	cancel()
	all.Wait()
	if _, err := s.Change(t.Context(), busy, "", post(t.Context())); err != nil {
		t.Errorf("afterwards: %v", err)
	}
	return beside
}

var owner = group.Member{UserID: "alice", Role: group.Owner}

func fixture() group.Group {
	return group.Group{
		ID: uuid.Must(uuid.NewV7()).String(), Name: "Study room", Visibility: group.Private, JoinPolicy: group.JoinOpen,
		CreatedAt: time.Now(), UpdatedAt: time.Now(),
	}
}

func create(tb testing.TB, s grouptest.Store) (id string) {
	tb.Helper()
	g, _, err := s.Create(tb.Context(), "alice", fixture(), owner, nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	return g.ID
}

// post makes the same statements as a post by a member: it reads the membership and appends
// an event.
func post(ctx context.Context) func(group.Tx) error {
	data := json.RawMessage(`{"type":"text","data":{"text":"` + sentence + `"}}`)
	return func(tx group.Tx) error {
		m, err := tx.Member(ctx, "alice")
		switch {
		case err != nil:
			return err
		case m == nil:
			return errors.New("alice is no member")
		}
		_, err = tx.Append(ctx, group.MessagePosted, "alice", data)
		return err
	}
}

// sentence has the usual length of a message.
var sentence = strings.Repeat("meet at the library ", 7)
