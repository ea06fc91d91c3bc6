// Package nodes connects the gateway of a node with those of the others. Nodes
// announce themselves, so that one that asks knows who has not answered. Each node
// answers a question with reports to the room of the node that asked. Requests of
// polling sessions are forwarded to the nodes that have them. The package does not
// know what a question means.
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

// announceEvery is how often a node tells the others that it is there. The other
// durations count from the last time that it was heard.
const (
	announceEvery = 2 * time.Second
	awaitedFor    = 10 * time.Second // others wait for its reports
	missedFor     = time.Minute      // others name it as missing if it does not report
	reachableFor  = 5 * time.Minute  // others forward requests: longer than most failures of the adapter
)

// farewell is how long a node that stops tries to say so.
const farewell = time.Second

// Room is a room that all nodes are subscribed to.
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

// announcement says that a node is there, and how other nodes reach it.
type announcement struct {
	Node string `json:"node"`           // the first characters of its polling sessions' ids
	URL  string `json:"url,omitempty"`  // empty: others cannot reach it
	Key  []byte `json:"key"`            // signs the requests that are forwarded to it
	Gone bool   `json:"gone,omitempty"` // it stops
}

// peer is another node.
type peer struct {
	announcement
	url   *url.URL
	heard time.Time
}

// name is the name of the node for an operator.
func (p peer) name() string {
	return cmp.Or(p.URL, p.Node)
}

// Bus carries messages between nodes. They may be lost.
type Bus interface {
	// Watch subscribes this node to a room. After an error, messages arrive later.
	Watch(ctx context.Context, room string) error
	// Publish sends JSON to the other nodes that are subscribed to a room.
	Publish(ctx context.Context, room, event, text string) error
	// Intercept calls fn for the messages of an event. fn does not block.
	Intercept(event string, fn func(text string))
}

// Directory announces this node, and knows the others. Its methods may be called
// concurrently.
type Directory struct {
	self  announcement
	bus   Bus
	tasks *tasks.Group
	met   chan struct{} // receives after a node was heard for the first time

	mu        sync.Mutex
	peers     map[string]peer      // by announcement.Node
	questions map[string]*Question // by id

	work    []func() // requests of other nodes, in order
	working bool
}

// maxWork bounds the requests of other nodes that wait. Further ones are dropped, as if they
// were lost on the way.
const maxWork = 10_000

// Serve calls fn after the earlier requests. An adapter that calls its sink must not be called
// back before the sink returns: it may hold a lock.
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

// New returns the directory of a node with a name and a URL, which may be empty.
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

// Node is the name of this node: the first characters of its polling sessions' ids.
func (n *Directory) Node() string { return n.self.Node }

// Name is the name of this node for an operator: its URL, if it has one.
func (n *Directory) Name() string { return peer{announcement: n.self}.name() }

// Len returns how many other nodes this one has heard of.
func (n *Directory) Len() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.peers)
}

// Intercept calls fn for what other nodes tell by an event. fn does not block.
func (n *Directory) Intercept(event string, fn func(text string)) { n.bus.Intercept(event, fn) }

// Run runs fn in a goroutine until the directory stops, unless it has stopped.
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

// Stop says that the node is gone, and ends what runs.
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
	_ = n.Tell(ctx, "", eventAnnounce, a) // again soon
}

// Tell sends what JSON can encode to another node, or to all if node is empty. It may be
// lost: the next announcement makes up for one, and a node whose report is lost counts as
// missing.
func (n *Directory) Tell(ctx context.Context, node, event string, v any) error {
	meta, _ := json.Marshal(v)
	return n.bus.Publish(ctx, roomOf(node), event, string(meta))
}

// heard takes another node's announcement. A node that is new gets one in return.
func (n *Directory) heard(text string) {
	p := peer{heard: time.Now()}
	if json.Unmarshal([]byte(text), &p.announcement) != nil || p.Node == "" {
		return // not written by a node
	}
	if p.URL != "" {
		if CheckURL(p.URL) != nil {
			return
		}
		p.url, _ = url.Parse(p.URL) // checked
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

// reachable returns a node to which requests can be forwarded.
func (n *Directory) reachable(node string) (peer, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	p, known := n.peers[node]
	return p, known && p.url != nil && time.Since(p.heard) < reachableFor
}
