package socket_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// recovering starts nodes whose clients can recover their session. Each new client is in the room
// "team".
func recovering(t *testing.T, window time.Duration, count int) (nodes []*node) {
	t.Helper()
	mesh := adapter.NewMesh()
	for range count {
		nodes = append(nodes, serveWith(t, socket.Config{Recovery: window},
			socket.Deps{Hub: adapter.NewHub(mesh.Adapter()), Authenticate: socket.Tokens(verify)},
			socket.OnConnect(func(_ context.Context, s *socket.Socket) error {
				if s.Recovered() {
					return nil
				}
				return s.Join("team")
			})))
	}
	for _, n := range nodes {
		waittest.Until(t, "the nodes know each other", func() bool {
			_, err := n.out.All().Sockets(t.Context())
			return err == nil && n.Peers() == count-1
		})
	}
	return nodes
}

// returner is a client that reconnects.
type returner struct {
	*client
	token, secret, offset string
	id                    string
}

// connect connects to a node, and returns the packets before the welcome. A node searches for the
// client's socket for a second. If a busy machine needs longer, the client tries again.
func (r *returner) connect(t *testing.T, n *node) (missed []string) {
	t.Helper()
	for tries := 1; ; tries++ {
		before, began := *r, time.Now()
		missed = r.connectOnce(t, n)
		if before.secret == "" || before.id == r.id || time.Since(began) < time.Second || tries == 3 {
			return missed
		}
		_ = r.ws.NetConn().Close()
		*r = before
	}
}

func (r *returner) connectOnce(t *testing.T, n *node) (missed []string) {
	t.Helper()
	r.client = openIO(t, n, nil)
	auth, _ := json.Marshal(map[string]string{"token": r.token, "pid": r.secret, "offset": r.offset}) // the values are strings
	r.write("40" + string(auth))
	for {
		packet := r.read()
		if welcome, is := strings.CutPrefix(packet, "40"); is {
			var of struct{ SID, PID string }
			if err := json.Unmarshal([]byte(welcome), &of); err != nil {
				t.Fatalf("%s: %v", packet, err)
			}
			r.id, r.secret = of.SID, of.PID
			return missed
		}
		missed = append(missed, r.see(packet))
	}
}

// see returns the first argument of an event, and stores its offset.
func (r *returner) see(packet string) string {
	var event []json.RawMessage
	if err := json.Unmarshal([]byte(strings.TrimPrefix(packet, "42")), &event); err != nil || len(event) != 3 {
		r.t.Fatalf("got %s, want an event with an offset", packet)
	}
	_ = json.Unmarshal(event[2], &r.offset) // if it is no string, the offset stays as it is
	return string(event[1])
}

// TestRecoveryLosesNothing makes a client lose its connection again and again, and reconnect to
// any node. It must see every event once and in order.
func TestRecoveryLosesNothing(t *testing.T) {
	t.Parallel()
	nodes := recovering(t, time.Minute, 3)
	client := &returner{token: "alice"}
	client.connect(t, nodes[0])
	const most = 500 // missed events; fewer than a node keeps
	var next atomic.Int64
	ctx, stop := context.WithCancel(t.Context())
	var emitting sync.WaitGroup
	emitting.Go(func() {
		for i := int64(0); ctx.Err() == nil; <-time.After(200 * time.Microsecond) {
			if i >= next.Load()+most {
				continue
			}
			if err := nodes[2].out.To("team").Emit(ctx, "count", i); err != nil && ctx.Err() == nil {
				t.Error(err)
			}
			i++
		}
	})
	defer func() {
		stop()
		emitting.Wait()
	}()
	id := ""
	check := func(seen string) {
		if want := next.Add(1) - 1; seen != fmt.Sprint(want) {
			t.Fatalf("the client saw %s, want %d", seen, want)
		}
	}
	for round := range 30 {
		for range 10 {
			check(client.see(client.read()))
		}
		_ = client.ws.NetConn().Close()
		id = client.id
		for _, seen := range client.connect(t, nodes[round%3]) {
			check(seen)
		}
		if client.id != id {
			t.Fatalf("round %d: the session was not recovered", round)
		}
	}
}

// TestRecoveryIsForTheSameUser checks that a session can be recovered only by its own user, once,
// and not after the user was disconnected.
func TestRecoveryIsForTheSameUser(t *testing.T) {
	t.Parallel()
	nodes := recovering(t, time.Minute, 2)
	for name, c := range map[string]struct {
		token  string
		before func(r *returner)
	}{
		"another user": {"bob", func(*returner) {}},
		"a disconnected user": {"alice", func(*returner) {
			if err := nodes[0].out.DisconnectUser(t.Context(), "alice"); err != nil {
				t.Error(err)
			}
		}},
		"a disconnected socket": {"alice", func(r *returner) {
			if err := nodes[1].out.To(r.id).Disconnect(t.Context()); err != nil {
				t.Error(err)
			}
		}},
		"a second time": {"alice", func(r *returner) {
			again := *r
			again.connect(t, nodes[1])
			if again.id != r.id {
				t.Error("the client did not come back")
			}
			again.write("41")
			waittest.Until(t, "the client has left", func() bool {
				found, err := nodes[1].out.To(r.id).Local().Sockets(t.Context())
				return err == nil && len(found) == 0
			})
		}},
	} {
		r := &returner{token: "alice"}
		r.connect(t, nodes[1])
		if err := nodes[0].out.To(r.id).Emit(t.Context(), "seen", 1); err != nil {
			t.Fatal(err)
		}
		r.see(r.read())
		_ = r.ws.NetConn().Close()
		waittest.Until(t, "the client is away", func() bool {
			found, err := nodes[1].out.To(r.id).Local().Sockets(t.Context())
			return err == nil && len(found) == 0
		})
		c.before(r)
		id := r.id
		r.token = c.token
		if r.connect(t, nodes[0]); r.id == id {
			t.Errorf("%s came back as the old socket", name)
		}
	}
}

// TestRecoveryEnds checks that a socket leaves its rooms if its client does not reconnect.
func TestRecoveryEnds(t *testing.T) {
	t.Parallel()
	n := recovering(t, 200*time.Millisecond, 1)[0]
	r := &returner{token: "alice"}
	r.connect(t, n)
	if sockets := n.hub.Sockets("team"); len(sockets) != 1 {
		t.Fatalf("%d sockets are in the room", len(sockets))
	}
	_ = r.ws.NetConn().Close()
	waittest.Until(t, "the socket leaves its rooms", func() bool {
		return len(n.hub.Sockets("team"))+len(n.hub.Sockets("user:alice")) == 0
	})
}

// TestRefusedAndDisconnectedEndsOnce checks that a socket that the server disconnects and then
// refuses ends once. OnDisconnect handlers must run once.
func TestRefusedAndDisconnectedEndsOnce(t *testing.T) {
	t.Parallel()
	ended := make(chan string, 10)
	n := serveWith(t, socket.Config{Recovery: time.Minute},
		socket.Deps{Hub: adapter.NewHub(adapter.NewMesh().Adapter()), Authenticate: socket.Tokens(verify)},
		socket.OnConnect(func(_ context.Context, s *socket.Socket) error {
			s.Disconnect(false)
			return fault.ErrForbidden
		}),
		socket.OnDisconnect(func(s *socket.Socket, _ engine.Reason) { ended <- s.UserID() }))
	c := openIO(t, n, nil)
	c.write(`40{"token":"alice"}`)
	c.want("41")
	if user := receive(t, ended); user != "alice" {
		t.Errorf("%s ended", user)
	}
	c = openIO(t, n, nil)
	c.write(`40{"token":"bob"}`)
	c.want("41")
	if user := receive(t, ended); user != "bob" {
		t.Errorf("%s ended, want bob: an end came twice", user)
	}
}

// away connects a client that has seen an event, and closes its connection. It returns the client
// and its socket once the node knows that the client is gone.
func away(t *testing.T, n *node, user string) (r *returner, gone *socket.Socket) {
	t.Helper()
	r = &returner{token: user}
	r.connect(t, n)
	if err := n.out.To(r.id).Emit(t.Context(), "seen", 1); err != nil {
		t.Fatal(err)
	}
	r.see(r.read())
	for _, s := range n.All() {
		if s.ID() == r.id {
			gone = s
		}
	}
	_ = r.ws.NetConn().Close()
	waittest.Until(t, "the client is away", func() bool {
		found, err := n.out.To(r.id).Local().Sockets(t.Context())
		return err == nil && len(found) == 0
	})
	return r, gone
}

// TestRecoveryKeepsWhatTheProgramDoes changes a socket while its client is disconnected. The
// changes must be there when the client reconnects to this node or another one.
func TestRecoveryKeepsWhatTheProgramDoes(t *testing.T) {
	t.Parallel()
	nodes := recovering(t, time.Minute, 2)
	for _, to := range nodes {
		r, parked := away(t, nodes[0], "alice")
		*socket.Data[map[string]int](parked) = map[string]int{"points": 7}
		if err := parked.Leave("team"); err != nil {
			t.Error(err)
		}
		id := r.id
		if r.connect(t, to); r.id != id {
			t.Fatal("the client did not come back")
		}
		for _, s := range to.All() {
			if s.ID() != id || s == parked {
				continue
			}
			if rooms := s.Rooms(); len(rooms) != 1 {
				t.Errorf("the recovered socket is in %v again", rooms)
			}
			if points := (*socket.Data[map[string]int](s))["points"]; points != 7 || !s.Recovered() {
				t.Errorf("it has %d points; recovered: %v", points, s.Recovered())
			}
		}
		r, parked = away(t, nodes[0], "alice")
		parked.Disconnect(true)
		id = r.id
		if r.connect(t, to); r.id == id {
			t.Error("a client that the server disconnected recovered its session")
		}
	}
}

// TestRecoverySurvivesTheProgramsData checks that data of the program that cannot be encoded does
// not crash a node.
func TestRecoverySurvivesTheProgramsData(t *testing.T) {
	t.Parallel()
	nodes := recovering(t, time.Minute, 2)
	r, parked := away(t, nodes[0], "alice")
	socket.Data[explosive](parked)
	id := r.id
	if r.connect(t, nodes[1]); r.id != id {
		t.Error("the client did not come back")
	}
}

// explosive cannot be encoded.
type explosive struct{}

func (*explosive) MarshalJSON() ([]byte, error) { panic("explosive") }
