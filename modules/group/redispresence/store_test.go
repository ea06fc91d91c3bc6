package redispresence_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/group/presencetest"
	"github.com/moim-live/moim/modules/group/redispresence"
	"github.com/moim-live/moim/modules/redisrole"
)

func TestSuite(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	prefixes := atomic.Int64{}
	presencetest.Run(t, func(t *testing.T) []presence.Store {
		cfg := redisrole.Config{URL: s.URL(), Prefix: fmt.Sprint("p", prefixes.Add(1))}
		return []presence.Store{newNode(t, cfg).Store, newNode(t, cfg).Store, newNode(t, cfg).Store}
	})
}

// TestSuiteOnCluster runs the suite on a Redis cluster. A group's keys are in one slot. The
// nodes' leases and sets are in others.
func TestSuiteOnCluster(t *testing.T) {
	t.Parallel()
	c := redistest.StartCluster(t, 3)
	prefixes := atomic.Int64{}
	presencetest.Run(t, func(t *testing.T) []presence.Store {
		cfg := redisrole.Config{URL: c.URL(), Prefix: fmt.Sprint("p", prefixes.Add(1))}
		return []presence.Store{newNode(t, cfg).Store, newNode(t, cfg).Store, newNode(t, cfg).Store}
	})
}

func TestDeadNodesUsersGoAndAreToldOnce(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dead, a, b := startNode(t, s.URL()), startNode(t, s.URL()), startNode(t, s.URL())
	var expected, crowd []string
	for i := range 1200 { // more users than one scan of a group returns
		user := fmt.Sprintf("u%04d", i)
		crowd = append(crowd, "+"+user)
		expected = append(expected, "big "+user+" reconnecting node_lost")
	}
	dead.apply(t, "big", crowd...)
	dead.apply(t, "g", "+ana", "+bo")
	a.apply(t, "g", "+bo", "+cy")
	redispresence.Kill(dead.Store)
	want(t, "came to a dead node's place", b.apply(t, "g", "+ana"), nil)
	expected = append(expected, "g ana online", "g bo online") // the dead node may not have reported that they returned
	slices.Sort(expected)
	waittest.Until(t, "the dead node's users are not listed", func() bool {
		return a.lists(t, "g", "ana bo cy") && a.lists(t, "big", "")
	})
	waittest.Until(t, "all changes are reported", func() bool { return len(news(a, b)) >= len(expected) })
	waittest.Until(t, "nothing is left of the dead node", func() bool {
		fields, err := s.Client().HKeys(t.Context(), "moim:presence:nodes").Result()
		return err == nil && !slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, "d ") })
	})
	want(t, "reported", news(a, b), expected)
	sets, err := s.Client().Keys(t.Context(), "moim:presence:node:*").Result()
	if err != nil || len(sets) != 2 {
		t.Errorf("sets of groups: %v, %v", sets, err)
	}
	want(t, "the last ones leave", b.apply(t, "g", "-ana"), []string{"ana offline left"})
}

// TestServerForgets kills the server several times. It restarts without data, and the nodes
// must restore it.
func TestServerForgets(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a, b := startNode(t, s.URL()), startNode(t, s.URL())
	a.apply(t, "g", "+ana", "+bo", "+eve")
	b.apply(t, "g", "+bo", "+cy")
	b.apply(t, "h", "+cy")
	waittest.Until(t, "a lists the users of both nodes", func() bool { return a.lists(t, "g", "ana bo cy eve") })
	for round := range 3 {
		stop := make(chan struct{})
		var reader sync.WaitGroup
		for _, n := range []*node{a, b} {
			reader.Go(func() { // each answer must be complete, or an error
				for {
					select {
					case <-stop:
						return
					default:
					}
					users, err := n.List(t.Context(), "g")
					if err == nil && len(users) < 3 {
						t.Errorf("listed %v", users)
					}
					if err != nil && !errors.Is(err, fault.ErrUnavailable) {
						t.Errorf("list: %v", err)
					}
				}
			})
		}
		s.Kill()
		waittest.Until(t, "the outage is noticed", func() bool {
			_, err := a.List(t.Context(), "g")
			return err != nil
		})
		if _, err := a.try(t.Context(), "g", fmt.Sprint("+new", round)); !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("stored without a server: %v", err)
		}
		if round == 0 {
			if _, err := a.try(t.Context(), "g", "-eve"); err == nil {
				t.Error("stored without a server")
			}
		}
		s.Restart()
		back := time.Now()
		expected := []string{"ana bo cy new0", "ana bo cy new0 new1", "ana bo cy new0 new1 new2"}[round]
		for _, n := range []*node{a, b} {
			waittest.Until(t, "all users are restored", func() bool { return n.lists(t, "g", expected) && n.lists(t, "h", "cy") })
		}
		t.Logf("restored after %s", time.Since(back).Round(time.Millisecond))
		close(stop)
		reader.Wait()
	}
	want(t, "reported", news(a, b), nil)
	want(t, "the last ones leave", a.apply(t, "g", "-bo", "-ana"), []string{"ana offline left"})
}

// TestServerForgetsAndAnotherNodeIsFirst starts a new node after the server lost its data
// and before the old node has registered its users again. The old node must not mistake the
// new epoch on the server for its own.
func TestServerForgetsAndAnotherNodeIsFirst(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a := startNode(t, s.URL())
	a.apply(t, "g", "+ana")
	if err := s.Client().FlushAll(t.Context()).Err(); err != nil {
		t.Fatal(err)
	}
	b := startNode(t, s.URL())
	waittest.Until(t, "both nodes list ana", func() bool { return a.lists(t, "g", "ana") && b.lists(t, "g", "ana") })
	want(t, "reported", news(a, b), nil)
}

// TestNobodyIsSweptAfterAnOutage checks that nobody is swept after no node could reach the
// server for longer than a lease.
func TestNobodyIsSweptAfterAnOutage(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	var all []*node
	for i := range 3 {
		n := startNode(t, s.URLVia(p.Addr()))
		n.apply(t, "g", fmt.Sprint("+u", i))
		all = append(all, n)
	}
	dead := startNode(t, s.URLVia(p.Addr()))
	dead.apply(t, "g", "+late")
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for _, n := range all {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if users, err := n.List(t.Context(), "g"); err == nil && len(users) != 4 {
					t.Errorf("listed %v", users)
				}
			}
		})
	}
	for _, hurt := range []func(){p.Cut, p.Freeze} {
		hurt()
		passing(2 * redispresence.Lease)
		p.Heal()
		waittest.Until(t, "all are listed", func() bool { return all[0].lists(t, "g", "late u0 u1 u2") })
	}
	passing(2 * redispresence.Lease)
	close(stop)
	readers.Wait()
	want(t, "reported", news(all...), nil)
	redispresence.Kill(dead.Store) // nodes that die later are still swept
	waittest.Until(t, "the dead node's users are no longer online", func() bool { return all[1].lists(t, "g", "u0 u1 u2") })
	waittest.Until(t, "that is reported", func() bool { return cmp.Equal(news(all...), []string{"g late reconnecting node_lost"}) })
}

// TestExpelledNodeComesBack checks a single node that could not reach the server for longer
// than its lease.
func TestExpelledNodeComesBack(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	a, lost := startNode(t, s.URL()), startNode(t, s.URLVia(p.Addr()))
	lost.apply(t, "g", "+ana", "+bo", "+eve")
	id := s.Client().HGet(t.Context(), usersKey(t, s), "ana").Val()
	a.apply(t, "g", "+bo")
	p.Cut()
	waittest.Until(t, "its users are reported", func() bool { return len(news(a)) == 3 })
	want(t, "reported", news(a), []string{"g ana reconnecting node_lost", "g bo online", "g eve reconnecting node_lost"})
	if !a.lists(t, "g", "bo") {
		t.Error("they are listed")
	}
	// As if the node had stopped in the middle of registering ana.
	if err := s.Client().HSet(t.Context(), usersKey(t, s), "ana", id).Err(); err != nil {
		t.Fatal(err)
	}
	if _, err := lost.try(t.Context(), "g", "-eve"); err == nil {
		t.Error("stored without a server")
	}
	p.Heal()
	waittest.Until(t, "ana, who is still connected, is reported online", func() bool { return cmp.Equal(news(lost), []string{"g ana online"}) })
	waittest.Until(t, "they are listed", func() bool { return a.lists(t, "g", "ana bo") && lost.lists(t, "g", "ana bo") })
	passing(2 * redispresence.Lease)
	want(t, "reported in the end", news(a, lost), []string{"g ana online", "g ana reconnecting node_lost", "g bo online", "g eve reconnecting node_lost"})
	want(t, "the last ones leave", lost.apply(t, "g", "-ana", "-bo"), []string{"ana offline left"})
}

func TestServerThatIsDownAtTheStart(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	s.Kill()
	began := time.Now()
	n := startNode(t, s.URL())
	if _, err := n.List(t.Context(), "g"); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("list: %v", err)
	}
	if _, err := n.try(t.Context(), "g", "+ana"); !errors.Is(err, fault.ErrUnavailable) {
		t.Errorf("apply: %v", err)
	}
	if took := time.Since(began); took > within {
		t.Errorf("it took %s", took)
	}
	s.Restart()
	waittest.Until(t, "ana is registered", func() bool { return n.lists(t, "g", "ana") })
	want(t, "the first one comes", n.apply(t, "g", "+ana"), []string{"ana online"})
}

func TestT13Blackhole(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	n := startNode(t, s.URLVia(p.Addr()))
	n.apply(t, "g", "+ana")
	took := tooLong + 1
	for tries := 0; took > tooLong && tries < 3; tries++ { // retries, because a busy machine may be slow
		p.Freeze()
		began := time.Now()
		if _, err := n.List(t.Context(), "g"); !errors.Is(err, fault.ErrUnavailable) {
			t.Errorf("list: %v", err)
		}
		if took = time.Since(began); took > tooLong {
			p.Heal()
			waittest.Until(t, "it is back", func() bool { return n.lists(t, "g", "ana") })
		}
	}
	if took > tooLong {
		t.Errorf("the first call took %s", took)
	}
	p.Freeze()
	waittest.Until(t, "the node knows that the server is down", func() bool {
		began := time.Now()
		_, err := n.List(t.Context(), "g")
		return err != nil && time.Since(began) < 50*time.Millisecond
	})
	p.Heal()
	waittest.Until(t, "it is back", func() bool { return n.lists(t, "g", "ana") })
}

func TestKeysDoNotLiveForEver(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := newNode(t, redisrole.Config{URL: s.URL(), Prefix: "shop"})
	n.start(t)
	n.apply(t, "g", "+ana")
	keys, err := s.Client().Keys(t.Context(), "*").Result()
	if err != nil || len(keys) != 3 {
		t.Fatal(keys, err)
	}
	for _, key := range keys {
		if !strings.HasPrefix(key, "shop:presence:") {
			t.Errorf("unexpected key %s", key)
		}
		if ttl := s.Client().PTTL(t.Context(), key).Val(); ttl < time.Hour || ttl > 24*time.Hour {
			t.Errorf("%s lives for %s", key, ttl)
		}
	}
}

// TestChangesDuringAnnouncements checks that registering all users again does not undo
// changes that are stored meanwhile.
func TestChangesDuringAnnouncements(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := startNode(t, s.URL())
	var crowd []string
	for i := range 300 {
		crowd = append(crowd, fmt.Sprintf("+u%03d", i))
	}
	for g := range 20 {
		n.apply(t, fmt.Sprint("g", g), crowd...)
	}
	for round := range 5 {
		if err := s.Client().FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		if users, err := n.List(t.Context(), "g0"); err == nil && len(users) < 300-round { // makes the node notice the loss
			t.Errorf("listed %d", len(users))
		}
		for g := range 20 {
			waittest.Until(t, "the change is stored", func() bool {
				_, err := n.try(t.Context(), fmt.Sprint("g", g), fmt.Sprintf("-u%03d", round))
				return err == nil
			})
		}
		for g := range 20 {
			groupID := fmt.Sprint("g", g)
			waittest.Until(t, "the remaining users are listed", func() bool {
				return len(strings.Fields(n.listed(t, groupID, group.StatusOnline))) == 299-round
			})
		}
	}
	want(t, "reported", news(n), nil)
}

// TestServerForgetsTwice has a server that loses its data again before all earlier nodes
// have registered their users.
func TestServerForgetsTwice(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	a, b := startNode(t, s.URLVia(p.Addr())), startNode(t, s.URL())
	a.apply(t, "g", "+ana")
	b.apply(t, "g", "+bo")
	waited := func() bool {
		fields, err := s.Client().HKeys(t.Context(), "moim:presence:nodes").Result()
		return err == nil && slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, "w ") }) &&
			slices.ContainsFunc(fields, func(f string) bool { return strings.HasPrefix(f, "a ") })
	}
	waittest.Until(t, "both nodes know each other", func() bool {
		fields, err := s.Client().HKeys(t.Context(), "moim:presence:nodes").Result()
		passing(2 * redispresence.Renew)
		return err == nil && len(fields) >= 6
	})
	p.Freeze()
	for range 2 {
		if err := s.Client().FlushAll(t.Context()).Err(); err != nil {
			t.Fatal(err)
		}
		waittest.Until(t, "b waits for the other node", waited)
		if users, err := b.List(t.Context(), "g"); err == nil {
			t.Errorf("listed %v", users)
		}
	}
	p.Heal()
	waittest.Until(t, "both users are listed", func() bool { return b.lists(t, "g", "ana bo") })
	want(t, "reported", news(a, b), nil)
}

// TestServerForgetsTheNodes removes only the key with the nodes, as a full server with
// eviction may do. Then no node knows which users dead nodes had registered.
func TestServerForgetsTheNodes(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	n := startNode(t, s.URL())
	n.apply(t, "g", "+ana", "+bo")
	key := usersKey(t, s)
	id := s.Client().HGet(t.Context(), key, "ana").Val()
	if err := s.Client().HSet(t.Context(), key, "ana", id+" dead", "eve", "dead").Err(); err != nil {
		t.Fatal(err)
	}
	if err := s.Client().Del(t.Context(), "moim:presence:nodes").Err(); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "they are listed", func() bool { return n.lists(t, "g", "ana bo") })
	want(t, "the last ones leave", n.apply(t, "g", "-ana"), []string{"ana offline left"})
}
