package socket_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// joins joins every socket to "team", and passes it to the test.
func joins(sockets chan<- *socket.Socket) socket.Handler {
	return socket.OnConnect(func(_ context.Context, s *socket.Socket) error {
		err := s.Join("team")
		sockets <- s
		return err
	})
}

// users returns the users of sockets, sorted.
func users(sockets []socket.Info) string {
	var ids []string
	for _, s := range sockets {
		ids = append(ids, s.UserID)
	}
	slices.Sort(ids)
	return strings.Join(ids, " ")
}

// within returns a context for a request that not all nodes answer.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

// twoNodes starts two nodes that know each other, with one Socket.IO client each.
func twoNodes(t *testing.T) (one, two *node, alice, bob *client, sockets []*socket.Socket) {
	t.Helper()
	mesh, opened := adapter.NewMesh(), make(chan *socket.Socket, 10)
	one, two = start(t, mesh, joins(opened)), start(t, mesh, joins(opened))
	alice = connectIO(t, one, "alice")
	sockets = append(sockets, receive(t, opened))
	bob = connectIO(t, two, "bob")
	sockets = append(sockets, receive(t, opened))
	for _, n := range []*node{one, two} {
		waittest.Until(t, "the nodes know each other", func() bool {
			found, err := n.out.To("team").Sockets(t.Context())
			return err == nil && users(found) == "alice bob"
		})
	}
	return one, two, alice, bob, sockets
}

func TestSocketsOfAllNodes(t *testing.T) {
	t.Parallel()
	one, two, _, _, sockets := twoNodes(t)
	alice, bob := sockets[0], sockets[1]
	for name, c := range map[string]struct {
		target socket.Target
		want   string
	}{
		"all":                 {one.out.All(), "alice bob"},
		"this node":           {one.out.All().Local(), "alice"},
		"the other":           {two.out.All().Local(), "bob"},
		"a user":              {one.out.ToUser("bob"), "bob"},
		"except":              {one.out.All().Except(bob.ID()), "alice"},
		"an id":               {two.out.To(alice.ID()), "alice"},
		"an empty room":       {one.out.To("nobody"), ""},
		"another namespace":   {one.out.Of("/admin"), ""},
		"others of the room":  {alice.To("team"), "bob"},
		"rooms that overlap":  {one.out.To("team", alice.ID(), bob.ID()), "alice bob"},
		"the room, exclusive": {one.out.To("team").Except("team"), ""},
	} {
		found, err := c.target.Sockets(t.Context())
		if got := users(found); err != nil || got != c.want {
			t.Errorf("%s: %q, %v; want %q", name, got, err, c.want)
		}
	}
	found, err := one.out.ToUser("bob").Sockets(t.Context())
	if want := []string{bob.ID(), "team"}; err != nil || len(found) != 1 || found[0].ID != bob.ID() || !slices.Equal(found[0].Rooms, want) {
		t.Errorf("bob is %+v, %v", found, err)
	}
	if _, err := one.out.To("user:bob").Sockets(t.Context()); err == nil {
		t.Error("a reserved room was allowed")
	}
	if _, err := socket.NewEmitter(one.hub).All().Sockets(t.Context()); err == nil || !strings.Contains(err.Error(), "Deps.Emitter") {
		t.Errorf("an emitter without a gateway: %v", err)
	}
}

// TestJoinIsOverWhenItReturns checks that events for the room reach the sockets of other nodes
// right after Join, and do not reach them right after Leave.
func TestJoinIsOverWhenItReturns(t *testing.T) {
	t.Parallel()
	one, _, _, bob, _ := twoNodes(t)
	for i := range 50 {
		room := fmt.Sprint("room", i)
		ctx := t.Context()
		if err := errors.Join(
			one.out.ToUser("bob").Join(ctx, room), one.out.To(room).Emit(ctx, "joined", i),
			one.out.To(room).Leave(ctx, room), one.out.To(room).Emit(ctx, "left"),
		); err != nil {
			t.Fatal(err)
		}
		bob.want(fmt.Sprintf(`42["joined",%d]`, i))
	}
}

func TestALargeReportComesInParts(t *testing.T) {
	t.Parallel()
	mesh, opened := adapter.NewMesh(), make(chan *socket.Socket, 10)
	one, two := start(t, mesh), start(t, mesh, joins(opened))
	for range 3 {
		connectIO(t, two, "bob")
		s := receive(t, opened)
		for i := range 1_000 {
			if err := s.Join(fmt.Sprint(strings.Repeat("r", 200), i)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var found []socket.Info
	waittest.Until(t, "the nodes know each other", func() bool {
		var err error
		found, err = one.out.ToUser("bob").Sockets(t.Context())
		return err == nil && len(found) > 0
	})
	if len(found) != 3 || len(found[2].Rooms) != 1_002 {
		t.Errorf("found %d sockets", len(found))
	}
}

func TestABroadcastCollectsAcknowledgements(t *testing.T) {
	t.Parallel()
	one, _, alice, bob, sockets := twoNodes(t)
	type result struct {
		replies socket.Replies
		err     error
	}
	results := make(chan result, 1)
	go func() {
		replies, err := one.out.To("team").EmitWithAck(t.Context(), "question", 1, socket.Binary{9})
		results <- result{replies, err}
	}()
	alice.want(`451-0["question",1,{"_placeholder":true,"num":0}]`, "\x09")
	bob.want(`451-0["question",1,{"_placeholder":true,"num":0}]`, "\x09")
	alice.write(`430[]`)
	bob.write(`461-0["yes",{"_placeholder":true,"num":0}]`)
	bob.writeBinary(8)
	r := receive(t, results)
	if r.err != nil || len(r.replies.Acks) != 2 || len(r.replies.Silent)+len(r.replies.Missing) != 0 {
		t.Fatalf("%+v", r)
	}
	var text string
	var data []byte
	answer := r.replies.Acks[sockets[1].ID()]
	if err := errors.Join(answer.Decode(0, &text), answer.Decode(1, &data)); err != nil || text != "yes" || string(data) != "\x08" {
		t.Errorf("bob answered %v: %v", answer, err)
	}
	if answer := r.replies.Acks[sockets[0].ID()]; answer == nil || len(answer) != 0 {
		t.Errorf("alice answered %v", answer)
	}
}

// TestWhoDoesNotAnswerIsNamed checks that a missing answer is an error that names the node, and
// never counts as an empty answer.
func TestWhoDoesNotAnswerIsNamed(t *testing.T) {
	t.Parallel()
	mesh, opened := adapter.NewMesh(), make(chan *socket.Socket, 10)
	one, two := start(t, mesh, joins(opened)), start(t, mesh, joins(opened))
	bob := connectIO(t, two, "bob")
	remote := receive(t, opened)
	eve := connectPlain(t, two, "eve")
	plain := receive(t, opened)
	waittest.Until(t, "the nodes know each other", func() bool {
		found, err := one.out.To("team").Sockets(t.Context())
		return err == nil && len(found) == 2
	})
	replies, err := one.out.To("team").EmitWithAck(within(t, 5*time.Second), "question")
	want := []string{remote.ID(), plain.ID()}
	slices.Sort(want)
	slices.Sort(replies.Silent)
	if !errors.Is(err, socket.ErrIncomplete) || !slices.Equal(replies.Silent, want) || len(replies.Missing) != 0 {
		t.Errorf("silent clients: %+v, %v", replies, err)
	}
	bob.want(`420["question"]`)
	eve.want(`{"event":"question","data":null}`)

	// This is a node that is known but does not answer.
	if err := socket.Announce(t.Context(), two.out, "impostor", "http://10.0.0.9:1"); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "the node is missing", func() bool {
		found, err := one.out.To("team").Sockets(within(t, 100*time.Millisecond))
		return errors.Is(err, socket.ErrIncomplete) && strings.Contains(err.Error(), "http://10.0.0.9:1 are missing") && len(found) == 2
	})
	replies, err = one.out.To("team").EmitWithAck(within(t, 5*time.Second), "question")
	if !errors.Is(err, socket.ErrIncomplete) || !slices.Equal(replies.Missing, []string{"http://10.0.0.9:1"}) {
		t.Errorf("a silent node: %+v, %v", replies, err)
	}
	found, missing, err := one.out.SocketsOfUser(within(t, 5*time.Second), "bob")
	if !errors.Is(err, socket.ErrIncomplete) || !slices.Equal(missing, []string{"http://10.0.0.9:1"}) || len(found) != 1 {
		t.Errorf("the sockets of bob beside a silent node: %+v, missing %v, %v", found, missing, err)
	}
	if err := socket.AnnounceGone(t.Context(), two.out, "impostor"); err != nil {
		t.Fatal(err)
	}
	waittest.Until(t, "a node that has stopped is not missing", func() bool {
		_, err := one.out.To("team").Sockets(t.Context())
		return err == nil
	})
}

func TestSocketsOfUserAreDescribed(t *testing.T) {
	t.Parallel()
	one, _, _, _, _ := twoNodes(t)
	for name, c := range map[string]struct{ user, transport string }{
		"of this node":   {"alice", socket.TransportWebSocket},
		"of the other":   {"bob", socket.TransportWebSocket},
		"of a plain one": {"carol", socket.TransportWebSocket},
	} {
		if c.user == "carol" {
			connectPlain(t, one, "carol")
		}
		found, missing, err := one.out.SocketsOfUser(t.Context(), c.user)
		if err != nil || len(missing) > 0 || len(found) != 1 {
			t.Errorf("%s: %+v, missing %v, %v", name, found, missing, err)
			continue
		}
		s := found[0]
		if s.UserID != c.user || s.Transport != c.transport || s.Address != "127.0.0.1" || s.Node == "" || time.Since(s.Since).Abs() > time.Hour {
			t.Errorf("%s: %+v", name, s)
		}
	}
	alice, _, _ := one.out.SocketsOfUser(t.Context(), "alice")
	bob, _, _ := one.out.SocketsOfUser(t.Context(), "bob")
	if len(alice) != 1 || len(bob) != 1 || alice[0].Node == bob[0].Node {
		t.Errorf("%+v and %+v are of one node", alice, bob)
	}
}
