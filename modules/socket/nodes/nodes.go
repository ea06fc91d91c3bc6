// Package nodes connects the gateways of all nodes. Nodes announce themselves, so a node
// that asks a question knows which others have not answered. Answers are reports to the
// room of the node that asked. Requests of polling sessions are forwarded to the nodes that
// have the sessions. [Directory] is the main type. The package does not know what a
// question means.
package nodes

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"net/url"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
)

// announceEvery is the interval at which a node announces itself. The other durations begin
// when a node was last heard.
const (
	announceEvery = 2 * time.Second
	awaitedFor    = 10 * time.Second // other nodes wait for its reports
	missedFor     = time.Minute      // other nodes list it as missing if it does not report
	reachableFor  = 5 * time.Minute  // other nodes forward requests to it: longer than most outages of the adapter
)

// farewell limits the time in which a stopping node announces that it is gone.
const farewell = time.Second

// Room is the room that all nodes are subscribed to.
const Room = "socket:nodes"

// Events of the nodes themselves.
const (
	eventAnnounce = "socket:announce"
	eventReport   = "socket:report"
)

// roomOf returns the room of one node, or of all if node is empty.
func roomOf(node string) string {
	if node == "" {
		return Room
	}
	return "socket:reports " + node
}

// announcement says that a node exists, and how other nodes reach it.
type announcement struct {
	Node string `json:"node"`           // the first characters of its polling sessions' ids
	URL  string `json:"url,omitempty"`  // empty if other nodes cannot reach it
	Key  []byte `json:"key"`            // signs the requests that are forwarded to it
	Gone bool   `json:"gone,omitempty"` // it is stopping
}

// peer is another node.
type peer struct {
	announcement
	url   *url.URL
	heard time.Time
}

// name returns the node's name for an operator.
func (p peer) name() string {
	return cmp.Or(p.URL, p.Node)
}

// Bus carries messages between nodes. It may lose messages.
type Bus interface {
	// Watch subscribes this node to a room. After an error, messages may arrive only later.
	Watch(ctx context.Context, room string) error
	// Publish sends JSON to the other nodes that are subscribed to a room.
	Publish(ctx context.Context, room, event, text string) error
	// Intercept arranges that fn is called for the messages of an event. fn must not block.
	Intercept(event string, fn func(text string))
}

// Directory announces this node and knows the other nodes. It is safe for concurrent use.
type Directory struct {
	self  announcement
	bus   Bus
	tasks *tasks.Group
	met   chan struct{} // receives when a node is heard for the first time

	mu        sync.Mutex
	peers     map[string]peer      // by announcement.Node
	questions map[string]*Question // by id

	work    []func() // queued requests of other nodes, in order
	working bool
}

// maxWork is the maximum number of queued requests. Further requests are dropped, as if the
// bus had lost them.
const maxWork = 10_000

// Serve queues fn behind the earlier requests. fn cannot run at once: the adapter may hold
// a lock while it calls the sink, so it must not be called back before the sink returns.
func (n *Directory) Serve(fn func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.work) >= maxWork {
		return
	}
	n.work = append(n.work, fn)
	if !n.working {
		n.working = n.tasks.Run(func(context.Context) { n.serveAll() })
	}
}

func (n *Directory) serveAll() {
	for {
		n.mu.Lock()
		if len(n.work) == 0 {
			n.work, n.working = nil, false
			n.mu.Unlock()
			return
		}
		next := n.work[0]
		n.work[0] = nil
		n.work = n.work[1:]
		n.mu.Unlock()
		next()
	}
}

// New returns the directory of a node. nodeURL may be empty.
func New(node, nodeURL string, bus Bus) *Directory {
	key := make([]byte, sha256.Size)
	_, _ = rand.Read(key) // never fails
	n := &Directory{
		self:      announcement{Node: node, URL: nodeURL, Key: key},
		bus:       bus,
		tasks:     tasks.New(),
		met:       make(chan struct{}, 1),
		peers:     make(map[string]peer),
		questions: make(map[string]*Question),
	}
	bus.Intercept(eventAnnounce, n.heard)
	bus.Intercept(eventReport, n.reported)
	return n
}

// Node returns the id of this node: the first characters of its polling sessions' ids.
func (n *Directory) Node() string { return n.self.Node }

// Name returns the name of this node for an operator: its URL, if it has one.
func (n *Directory) Name() string { return peer{announcement: n.self}.name() }

// Len returns the number of other nodes that this node knows.
func (n *Directory) Len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.peers)
}

// Intercept arranges that fn is called for an event of other nodes. fn must not block.
func (n *Directory) Intercept(event string, fn func(text string)) { n.bus.Intercept(event, fn) }

// Run runs fn in a goroutine until the directory stops. It does nothing if the directory
// has stopped.
func (n *Directory) Run(fn func(ctx context.Context)) { n.tasks.Run(fn) }

// Start announces this node until Stop.
func (n *Directory) Start(ctx context.Context) {
	for _, room := range []string{Room, roomOf(n.self.Node)} {
		_ = n.bus.Watch(ctx, room) // see Bus
	}
	n.tasks.Run(func(ctx context.Context) {
		n.announce(ctx, n.self)
		tasks.Every(ctx, announceEvery, n.met, func() { n.announce(ctx, n.self) })
	})
}

// Stop announces that the node is gone, and ends its goroutines.
func (n *Directory) Stop(ctx context.Context) error {
	err := n.tasks.Stop(ctx)
	ctx, cancel := context.WithTimeout(ctx, farewell)
	defer cancel()
	gone := n.self
	gone.Gone = true
	n.announce(ctx, gone)
	return err
}

func (n *Directory) announce(ctx context.Context, a announcement) {
	_ = n.Tell(ctx, "", eventAnnounce, a) // it is announced again soon
}

// Tell sends v as JSON to another node, or to all if node is empty. The message may be
// lost. A lost announcement is repeated, and a node whose report is lost counts as missing.
func (n *Directory) Tell(ctx context.Context, node, event string, v any) error {
	meta, _ := json.Marshal(v)
	return n.bus.Publish(ctx, roomOf(node), event, string(meta))
}

// heard handles another node's announcement. It answers a new node with an announcement.
func (n *Directory) heard(text string) {
	p := peer{heard: time.Now()}
	if json.Unmarshal([]byte(text), &p.announcement) != nil || p.Node == "" {
		return // not from a node
	}
	if p.URL != "" {
		if CheckURL(p.URL) != nil {
			return
		}
		p.url, _ = url.Parse(p.URL) // it has been checked
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for node, other := range n.peers {
		if p.heard.Sub(other.heard) > reachableFor {
			delete(n.peers, node)
		}
	}
	if p.Gone {
		delete(n.peers, p.Node)
		for _, q := range n.questions {
			q.answered(p.Node)
		}
		return
	}
	if _, known := n.peers[p.Node]; !known {
		tasks.Wake(n.met)
	}
	n.peers[p.Node] = p
}

// reachable returns a node if requests can be forwarded to it.
func (n *Directory) reachable(node string) (peer, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, known := n.peers[node]
	return p, known && p.url != nil && time.Since(p.heard) < reachableFor
}
