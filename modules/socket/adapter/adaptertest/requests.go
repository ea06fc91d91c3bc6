package adaptertest

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// searchTime is how long a node searches for the missed packets of a client that reconnects.
const searchTime = time.Second

// gateway is a node with a gateway, and one Socket.IO client in the room "team".
type gateway struct {
	t    *testing.T
	out  *socket.Emitter
	conn *websocket.Conn
}

// startGateways starts three nodes that know each other. Each client's user is the number of its
// node. Clients that lost their connection can recover their session.
func startGateways(t *testing.T, open Open) (gateways [3]*gateway, urls [3]string) {
	t.Helper()
	for i, a := range open(t) {
		hub := adapter.NewHub(a)
		g := &gateway{t: t, out: socket.NewEmitter(hub)}
		server, err := socket.New(socket.Config{Recovery: time.Minute}, socket.Deps{
			Hub: hub, Emitter: g.out,
			Authenticate: func(_ context.Context, h socket.Handshake) (auth.Identity, error) {
				return auth.Identity{UserID: h.Token}, nil
			},
		}, socket.OnConnect(func(_ context.Context, s *socket.Socket) error { return s.Join("team") }))
		if err == nil {
			err = errors.Join(hub.Start(t.Context()), server.Start(t.Context()))
		}
		if err != nil {
			t.Fatal(err)
		}
		web := httptest.NewServer(server)
		t.Cleanup(func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := errors.Join(server.Stop(ctx), hub.Stop(ctx)); err != nil {
				t.Error(err)
			}
			web.Close()
		})
		gateways[i], urls[i] = g, strings.Replace(web.URL, "http", "ws", 1)+"/?EIO=4&transport=websocket"
		g.connect(urls[i], fmt.Sprintf(`{"token":"%d"}`, i))
	}
	for _, g := range gateways {
		waittest.Until(t, "the nodes find each other's sockets", func() bool {
			found, err := g.out.To("team").Sockets(t.Context())
			return err == nil && len(found) == len(gateways)
		})
	}
	return gateways, urls
}

// connect connects the client, and returns the packets that it receives up to the welcome.
func (g *gateway) connect(url, authPayload string) (packets []string) {
	g.t.Helper()
	conn, _, err := websocket.DefaultDialer.Dial(url, nil)
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(func() { _ = conn.Close() })
	g.conn = conn
	g.next() // the session is open
	g.write("40" + authPayload)
	for {
		packets = append(packets, g.next())
		if strings.HasPrefix(packets[len(packets)-1], "40") {
			return packets
		}
	}
}

func (g *gateway) write(packet string) {
	g.t.Helper()
	if err := g.conn.WriteMessage(websocket.TextMessage, []byte(packet)); err != nil {
		g.t.Fatal(err)
	}
}

// next returns the client's next packet.
func (g *gateway) next() string {
	g.t.Helper()
	_ = g.conn.SetReadDeadline(time.Now().Add(patience))
	_, data, err := g.conn.ReadMessage()
	if err != nil {
		g.t.Fatal(err)
	}
	return string(data)
}

// wants checks the beginning of the client's next packet.
func (g *gateway) wants(t *testing.T, packet string) {
	t.Helper()
	if got := g.next(); !strings.HasPrefix(got, packet) {
		t.Errorf("a client got %s, want %s", got, packet)
	}
}

// insist retries a request that nodes on a busy machine did not answer in time.
func insist(t *testing.T, request func() error) {
	t.Helper()
	waittest.Until(t, "all nodes answer", func() bool {
		err := request()
		if err != nil && !errors.Is(err, socket.ErrIncomplete) {
			t.Fatal(err)
		}
		return err == nil
	})
}

// testRequests checks that requests from one node to all others arrive over the adapter, and so
// do their answers.
func testRequests(t *testing.T, open Open) {
	nodes, urls := startGateways(t, open)
	ctx := t.Context()
	insist(t, func() error { return nodes[0].out.ToUser("2").Join(ctx, "other") })
	if err := errors.Join(
		nodes[1].out.To("other", "nobody").Emit(ctx, "both", 1), nodes[1].out.To("team").Except("other").Emit(ctx, "rest", 2),
	); err != nil {
		t.Error(err)
	}
	insist(t, func() error { return nodes[1].out.ToUser("2").Leave(ctx, "other") })
	if err := errors.Join(
		nodes[1].out.To("other").Emit(ctx, "nobody"), nodes[1].out.ToUser("2").Except("nobody").Emit(ctx, "user", 3),
	); err != nil {
		t.Error(err)
	}
	nodes[2].wants(t, `42["both",1`)
	nodes[2].wants(t, `42["user",3`)
	nodes[0].wants(t, `42["rest",2`)
	nodes[1].wants(t, `42["rest",2`)

	replies := make(chan socket.Replies)
	go func() {
		got, err := nodes[0].out.To("team").EmitWithAck(ctx, "question")
		if err != nil {
			t.Error(err)
		}
		replies <- got
	}()
	for i, n := range nodes {
		question := n.next()
		id := strings.TrimSuffix(strings.TrimPrefix(question, "42"), `["question"]`)
		n.write(fmt.Sprintf("43%s[%d]", id, i))
	}
	var answers []int
	for _, reply := range (<-replies).Acks {
		var n int
		if err := reply.Decode(0, &n); err != nil {
			t.Error(err)
		}
		answers = append(answers, n)
	}
	if slices.Sort(answers); !slices.Equal(answers, []int{0, 1, 2}) {
		t.Errorf("the clients answered %v", answers)
	}

	testReturn(t, nodes, urls)
	insist(t, func() error { return nodes[0].out.To("team").Disconnect(ctx) })
	for _, n := range nodes {
		n.wants(t, "41")
	}
}

// testReturn checks that a client that lost its connection can reconnect to another node, and
// receives what it missed.
func testReturn(t *testing.T, nodes [3]*gateway, urls [3]string) {
	t.Helper()
	const tries = 5
	for try := 1; ; try++ {
		packets, took := comeBack(t, nodes, urls)
		if len(packets) == 2 && strings.HasPrefix(packets[0], `42["missed"`) {
			return
		}
		if took < searchTime || try == tries { // a busy machine may need longer; then the client gets a new session
			t.Fatalf("the client that reconnected got %s after %s", packets, took)
		}
	}
}

// comeBack reconnects a client. It returns the packets that the client gets, and how long that
// took.
func comeBack(t *testing.T, nodes [3]*gateway, urls [3]string) (packets []string, took time.Duration) {
	t.Helper()
	insist(t, func() error { return nodes[0].out.ToUser("2").Disconnect(t.Context()) })
	nodes[2].wants(t, "41")
	welcome := nodes[2].connect(urls[2], `{"token":"2"}`)[0]
	secret := welcome[strings.Index(welcome, `"pid":"`)+len(`"pid":"`):]
	secret, _, _ = strings.Cut(secret, `"`)
	// The client's own node sends this. The user's room has just been left and joined, so other
	// nodes may not reach it yet.
	if err := nodes[2].out.ToUser("2").Emit(t.Context(), "last"); err != nil {
		t.Fatal(err)
	}
	last := nodes[2].next()
	_, offset, _ := strings.Cut(last, `,"`)
	offset = strings.TrimSuffix(offset, `"]`)
	_ = nodes[2].conn.NetConn().Close()
	waittest.Until(t, "the client is away", func() bool {
		found, err := nodes[2].out.ToUser("2").Local().Sockets(t.Context())
		return err == nil && len(found) == 0
	})
	if err := nodes[2].out.ToUser("2").Emit(t.Context(), "missed"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	packets = nodes[2].connect(urls[1], fmt.Sprintf(`{"token":"2","pid":%q,"offset":%q}`, secret, offset))
	took = time.Since(began)
	if len(packets) == 2 && !strings.Contains(packets[1], secret) {
		t.Errorf("the client that reconnected got %s", packets)
	}
	return packets, took
}
