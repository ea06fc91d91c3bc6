package redispresence_test

import (
	"encoding/json"
	"math"
	"slices"
	"testing"

	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/proxytest"
	"github.com/moim-live/moim/internal/redistest"
	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/redispresence"
)

// plantWrong replaces a key by a list. No key of the package is a list.
func plantWrong(t *testing.T, client redis.UniversalClient, key string) {
	t.Helper()
	if err := client.Del(t.Context(), key).Err(); err != nil {
		t.Fatal(err)
	}
	if err := client.RPush(t.Context(), key, "broken").Err(); err != nil {
		t.Fatal(err)
	}
}

// use makes every call about group g on a node. None may fail.
func (n *node) use(t *testing.T) {
	t.Helper()
	if _, err := n.List(t.Context(), "g"); err != nil {
		t.Errorf("list: %v", err)
	}
	if _, err := n.Count(t.Context(), []string{"g", "h"}); err != nil {
		t.Errorf("count: %v", err)
	}
	if _, err := n.SetState(t.Context(), "g", "ana", json.RawMessage(`{"page":2}`)); err != nil {
		t.Errorf("set a state: %v", err)
	}
	if _, err := n.try(t.Context(), "g", "+ana"); err != nil {
		t.Errorf("apply: %v", err)
	}
}

// stateIn returns a user's live state in group g, as the node lists it.
func (n *node) stateIn(t *testing.T, userID string) string {
	t.Helper()
	present, err := n.List(t.Context(), "g")
	if err != nil {
		return err.Error()
	}
	for _, p := range present {
		if p.UserID == userID {
			return string(p.State)
		}
	}
	return ""
}

// TestBrokenKeys checks that a key of the wrong type fails no call. It is removed, and
// every node registers its users again, even a node that has not read the key.
func TestBrokenKeys(t *testing.T) {
	t.Parallel()
	for _, suffix := range []string{"", ":graces", ":reasons", ":states", ":lately"} {
		for call, use := range map[string]func(*node, *testing.T){
			"reading": func(n *node, t *testing.T) { n.lists(t, "g", "") },
			"counting": func(n *node, t *testing.T) {
				if _, err := n.Count(t.Context(), []string{"h", "g"}); err != nil {
					t.Errorf("count: %v", err)
				}
			},
			"writing": func(n *node, t *testing.T) {
				if _, err := n.try(t.Context(), "g", "+ana"); err != nil {
					t.Errorf("apply: %v", err)
				}
			},
		} {
			if call == "counting" && suffix != "" {
				continue // counting reads no other key
			}
			t.Run("users"+suffix+" found by "+call, func(t *testing.T) {
				t.Parallel()
				s := redistest.Start(t)
				a, b := startNodeGrace(t, s.URL(), 3*redispresence.Lease), startNodeGrace(t, s.URL(), 3*redispresence.Lease)
				a.apply(t, "g", "+ana")
				b.apply(t, "g", "+bo", "+cy")
				if _, err := b.SetState(t.Context(), "g", "bo", json.RawMessage(`{"page":1}`)); err != nil {
					t.Fatal(err)
				}
				b.apply(t, "g", "~cy")
				plantWrong(t, s.Client(), usersKey(t, s)+suffix)
				use(a, t)
				if a.Broken() != 1 || a.Health() == nil {
					t.Errorf("%d broken values, health %v", a.Broken(), a.Health())
				}
				a.use(t)
				waittest.Until(t, "all users are listed again", func() bool {
					return a.lists(t, "g", "ana bo") && b.listed(t, "g", group.StatusReconnecting) == "cy" && a.stateIn(t, "bo") == `{"page":1}`
				})
				waittest.Until(t, "the grace ends", func() bool { return slices.Contains(news(a, b), "g cy offline dropped") })
				waittest.Until(t, "both nodes are healthy again", func() bool { return a.Health() == nil && b.Health() == nil })
				want(t, "reported", news(a, b), []string{"g cy offline dropped"})
				want(t, "found", a.Broken()+b.Broken(), 1)
			})
		}
	}
}

// TestBrokenNodes breaks the key of the leases. That counts as a loss of all data, so each
// node registers its users again.
func TestBrokenNodes(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	a, b := startNode(t, s.URL()), startNode(t, s.URL())
	a.apply(t, "g", "+ana")
	b.apply(t, "g", "+bo")
	plantWrong(t, s.Client(), "moim:presence:nodes")
	waittest.Until(t, "the broken key is found", func() bool { return a.Broken()+b.Broken() > 0 })
	waittest.Until(t, "both are listed", func() bool { return a.lists(t, "g", "ana bo") && b.lists(t, "g", "ana bo") })
	want(t, "reported", news(a, b), nil)
}

// TestBrokenFields checks that invalid fields in hashes and sorted sets are not listed, and
// do not stop the background loops.
func TestBrokenFields(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	client := s.Client()
	a, b := startNode(t, s.URL()), startNode(t, s.URL())
	a.apply(t, "g", "+ana")
	b.apply(t, "g", "+bo")
	users, nodes := usersKey(t, s), "moim:presence:nodes"
	for _, err := range []error{
		client.HSet(t.Context(), users, "eve", "no node").Err(),
		client.HSet(t.Context(), users+":states", "bo", `1 {"page":`, "ana", "x", "eve", "").Err(),
		client.ZAdd(t.Context(), users+":graces", redis.Z{Score: math.Inf(1), Member: "far"}, redis.Z{Score: 1e15, Member: "later"}).Err(),
		client.HSet(t.Context(), users+":reasons", "far", "dropped 99999999999999999999", "later", "").Err(),
		client.ZAdd(t.Context(), users+":lately", redis.Z{Score: math.Inf(1), Member: "dan"}, redis.Z{Score: -1, Member: "old"}).Err(),
		client.HSet(t.Context(), nodes, "n ghost", "soon", "n late", "99999999999999", "d", "", "d x", "y", "hold", "99999999999999",
			"beat", "never", "settled", "1e99", "m ", "", "m g", "now").Err(),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	a.use(t)
	b.apply(t, "g", "+cy", "+dy")
	b.apply(t, "g", "~cy", "-dy") // these calls look for ended graces, and store who was online last
	waittest.Until(t, "only valid users are listed", func() bool {
		present, err := a.List(t.Context(), "g")
		if err != nil {
			return false
		}
		if _, err := json.Marshal(present); err != nil {
			t.Fatalf("the list cannot be sent: %v", err)
		}
		return a.lists(t, "g", "ana bo") && a.listed(t, "g", group.StatusReconnecting) == "cy eve"
	})
	for _, graces := range []string{"far", "later"} {
		waittest.Until(t, "a grace that no node began ends", func() bool { return slices.Contains(news(a, b), "g "+graces+" offline dropped") })
	}
	waittest.Until(t, "the broken state is gone", func() bool { return client.HGet(t.Context(), users+":states", "bo").Val() == "" })
	dead := startNode(t, s.URL())
	dead.apply(t, "g", "+dea")
	redispresence.Kill(dead.Store)
	waittest.Until(t, "a dead node is still swept", func() bool { return slices.Contains(news(a, b), "g dea reconnecting node_lost") })
}

// TestBrokenGroupsOfNode breaks the set of a node's groups. A live node registers its users
// again. The users of a dead node are found by the others.
func TestBrokenGroupsOfNode(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	dead, alive := startNode(t, s.URL()), startNode(t, s.URL())
	dead.apply(t, "g", "+ana")
	dead.apply(t, "h", "+ana")
	alive.apply(t, "g", "+bo")
	own := "moim:presence:node:" + redispresence.NodeID(alive.Store) + ":groups"
	plantWrong(t, s.Client(), own)
	alive.apply(t, "i", "+bo")
	waittest.Until(t, "the set of groups is complete again", func() bool {
		groups := s.Client().SMembers(t.Context(), own).Val()
		slices.Sort(groups)
		return slices.Equal(groups, []string{"g", "i"})
	})
	plantWrong(t, s.Client(), "moim:presence:node:"+redispresence.NodeID(dead.Store)+":groups")
	redispresence.Kill(dead.Store)
	waittest.Until(t, "the group with a user of the other is swept", func() bool {
		return slices.Contains(news(alive), "g ana reconnecting node_lost")
	})
	waittest.Until(t, "another group is swept when it is read", func() bool {
		alive.lists(t, "h", "")
		return slices.Contains(news(alive), "h ana reconnecting node_lost")
	})
}

// TestSweepGoesOn checks that a sweep is retried after a network failure.
func TestSweepGoesOn(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	p := proxytest.Start(t, s.Addr())
	n := startNode(t, s.URLVia(p.Addr()))
	n.apply(t, "g", "+ana")
	p.Cut()
	if left := redispresence.SweepOnce(n.Store, "dead"); !slices.Equal(left, []string{"dead"}) {
		t.Errorf("to be swept later: %q", left)
	}
	key := "moim:presence:node:dead:groups"
	if err := s.Client().SAdd(t.Context(), key, "g").Err(); err != nil {
		t.Fatal(err)
	}
	p.Heal()
	waittest.Until(t, "the dead node is swept", func() bool { return s.Client().Exists(t.Context(), key).Val() == 0 })
}
