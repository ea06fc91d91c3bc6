package socket

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet"
)

const (
	// defaultPatience is the time limit of a question whose context has no deadline.
	defaultPatience = 10 * time.Second

	// maxReporting is the maximum time that nodes have for their reports after the clients'
	// time is over.
	maxReporting = time.Second
)

// Errors of [Target.Sockets] and [Target.EmitWithAck].
var (
	// ErrIncomplete says that some nodes or clients did not answer in time.
	ErrIncomplete = errors.New("socket: not all have answered")

	errNoGateway = errors.New("socket: this emitter cannot ask other nodes: set it as the gateway's Deps.Emitter")
)

// entry is a node's report about one socket.
type entry struct {
	ID     string   `json:"id"`
	UserID string   `json:"userId,omitempty"`
	Rooms  []string `json:"rooms,omitempty"`

	Node      string    `json:"node,omitempty"`
	Transport string    `json:"transport,omitempty"`
	Address   string    `json:"address,omitempty"`
	Since     time.Time `json:"since,omitzero"`

	reply Args // the acknowledgement; nil if the client has not answered

	// Args carries reply between nodes: see encode and decode.
	Args   json.RawMessage `json:"args,omitempty"` // an array
	Binary [][]byte        `json:"binary,omitempty"`
}

// Info describes a socket of any node. For clients of a [Bridge], only ID and Rooms are
// known. For a node of an earlier version, the fields after Rooms are empty.
type Info struct {
	ID        string
	UserID    string
	Rooms     []string  // as [Socket.Rooms] returns them
	Node      string    // its node.url, or its id
	Transport string    // TransportPolling or TransportWebSocket
	Address   string    // the client's IP address
	Since     time.Time // when the client connected
}

// Replies are the acknowledgements of a broadcast.
type Replies struct {
	Acks    map[string]Args // by socket id
	Silent  []string        // ids of sockets that did not acknowledge in time or cannot (plain WebSockets)
	Missing []string        // nodes that did not report, by node.url or id
	Bridged []Args          // acknowledgements of a [Bridge], whose clients' ids are unknown
}

// Sockets returns the sockets of the target, in no order. It waits for other nodes until
// ctx ends, or for 10 seconds if ctx has no deadline. If some nodes did not answer, it
// returns the other sockets and an [ErrIncomplete] that names the missing nodes.
func (t Target) Sockets(ctx context.Context) ([]Info, error) {
	found, _, err := t.sockets(ctx)
	return found, err
}

// sockets is Sockets, but also returns the names of the missing nodes.
func (t Target) sockets(ctx context.Context) (found []Info, missing []string, err error) {
	ctx, cancel, err := t.prepare(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer cancel()
	bridged := ofBridge(t, func(b Bridge, to Selection) ([]Info, error) { return b.Sockets(ctx, to) })
	entries, missing, incomplete := t.ask(ctx, eventFetch, request{}, adapter.Envelope{})()
	found, err = bridged()
	for _, e := range slices.Concat(t.describe(), decoded(entries)) {
		found = append(found, Info{e.ID, e.UserID, e.Rooms, e.Node, e.Transport, e.Address, e.Since})
	}
	return found, missing, errors.Join(incomplete, err)
}

// EmitWithAck sends an event and collects the acknowledgements of the clients. It waits
// until ctx ends, or for 10 seconds if ctx has no deadline. Clients get a fifth less time
// (at most one second less), so that their nodes can report in time. If some clients or
// nodes did not answer, EmitWithAck returns the other answers and an [ErrIncomplete].
func (t Target) EmitWithAck(ctx context.Context, event string, args ...any) (Replies, error) {
	var replies Replies
	ctx, cancel, err := t.prepare(ctx)
	if err != nil {
		return replies, err
	}
	defer cancel()
	env, err := encodeEvent(t.emitter.hub.Owner, event, args)
	if err != nil {
		return replies, err
	}
	env.Volatile = t.lossy
	deadline, _ := ctx.Deadline() // prepare has set it
	left := time.Until(deadline)
	patience := left - min(left/5, maxReporting)
	bridged := ofBridge(t, func(b Bridge, to Selection) ([]Args, error) { return b.EmitWithAck(ctx, to, env) })
	others := t.ask(ctx, eventAsk, request{Event: event, Patience: patience}, env)
	clients, stop := context.WithTimeout(ctx, patience)
	defer stop()
	entries := t.collect(clients, env)
	reported, missing, incomplete := others()
	replies.Missing = missing
	replies.Bridged, err = bridged()
	replies.Acks = make(map[string]Args)
	for _, e := range slices.Concat(entries, decoded(reported)) {
		if e.reply != nil {
			replies.Acks[e.ID] = e.reply
		} else {
			replies.Silent = append(replies.Silent, e.ID)
		}
	}
	if silent := len(replies.Silent); silent > 0 && incomplete == nil {
		incomplete = fmt.Errorf("%w: %d clients did not acknowledge", ErrIncomplete, silent)
	}
	return replies, errors.Join(incomplete, err)
}

// prepare checks a question, and returns a context with a deadline for it.
func (t Target) prepare(ctx context.Context) (context.Context, context.CancelFunc, error) {
	if err := t.check(); err != nil {
		return nil, nil, err
	}
	if t.emitter.nodes == nil && !t.local {
		return nil, nil, errNoGateway
	}
	if _, set := ctx.Deadline(); set {
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, nil
	}
	ctx, cancel := context.WithTimeout(ctx, defaultPatience)
	return ctx, cancel, nil
}

// ask publishes a question to the other nodes of the target. It ends when ctx ends. wait
// waits for the answers until then: see [nodes.Question.Wait]. Its error names the nodes that
// have not answered.
func (t Target) ask(ctx context.Context, event string, r request, env adapter.Envelope) (wait func() ([]json.RawMessage, []string, error)) {
	if t.local {
		return func() ([]json.RawMessage, []string, error) { return nil, nil, nil }
	}
	n := t.emitter.nodes
	r.From = n.Node()
	q := n.Ask(ctx, func(id string) error {
		r.Question = id
		return t.publish(ctx, event, r, env)
	})
	return func() ([]json.RawMessage, []string, error) {
		entries, missing := q.Wait(ctx)
		err := q.Err()
		if err == nil && len(missing) > 0 {
			err = fmt.Errorf("%w: the nodes %s are missing", ErrIncomplete, strings.Join(missing, ", "))
		}
		return entries, missing, err
	}
}

// describe returns this node's sockets of the target.
func (t Target) describe() []entry {
	var entries []entry
	node := ""
	if t.emitter.nodes != nil {
		node = t.emitter.nodes.Name()
	}
	for _, m := range t.present() {
		s := socketOf(m)
		entries = append(entries, entry{
			ID: s.ID(), UserID: s.UserID(), Rooms: s.Rooms(),
			Node: node, Transport: s.transport(), Address: s.address, Since: s.since,
		})
	}
	return entries
}

// collect sends an event to this node's sockets of the target, and waits for their
// acknowledgements until ctx ends.
func (t Target) collect(ctx context.Context, env adapter.Envelope) []entry {
	entries, asked, answers, forget := t.askClients(env)
	defer forget()
	for range asked {
		select {
		case a := <-answers:
			entries[a.entry].reply = a.reply
			continue
		case <-ctx.Done():
		}
		select { // also after the end, take answers that have come already
		case a := <-answers:
			entries[a.entry].reply = a.reply
		default:
			return entries
		}
	}
	return entries
}

// clientAnswer is the acknowledgement of the client of an entry: nil if it has
// disconnected.
type clientAnswer struct {
	entry int
	reply Args
}

// askClients sends an event to this node's sockets of the target. It asks for
// acknowledgements where the client can send one. Each client answers at most once. The
// caller must call forget.
func (t Target) askClients(env adapter.Envelope) (entries []entry, asked int, answers <-chan clientAnswer, forget func()) {
	members := t.present()
	answered := make(chan clientAnswer, len(members))
	var forgets []func()
	for i, m := range members {
		s := socketOf(m)
		entries = append(entries, entry{ID: s.ID()})
		if t.lossy && !m.Writable() {
			continue
		}
		forget, err := s.sendWithAck(env, func(reply Args) { answered <- clientAnswer{i, reply} })
		switch {
		case err == nil:
			forgets = append(forgets, forget)
		case errors.Is(err, errNoAcks):
			s.send(s.codec().Event(env))
		}
	}
	return entries, len(forgets), answered, func() {
		for _, forget := range forgets {
			forget()
		}
	}
}

// encoded prepares entries for another node.
func encoded(entries []entry) []any {
	list := make([]any, len(entries))
	for i, e := range entries {
		e.encode()
		list[i] = e
	}
	return list
}

// decoded reads the entries of other nodes.
func decoded(list []json.RawMessage) []entry {
	var entries []entry
	for _, data := range list {
		var e entry
		if json.Unmarshal(data, &e) == nil {
			e.decode()
			entries = append(entries, e)
		}
	}
	return entries
}

// encode prepares an entry for another node.
func (e *entry) encode() {
	if e.reply == nil {
		return
	}
	data, binary, err := packet.EncodeArgs(e.reply)
	if err != nil {
		return // it has more binary data than a client can send
	}
	e.Args, e.Binary = slices.Concat([]byte("["), data, []byte("]")), binary
}

// decode reads an entry of another node.
func (e *entry) decode() {
	p := packet.Packet{Binary: e.Binary}
	if e.Args == nil || unmarshal(e.Args, &p.Args) != nil {
		return
	}
	if reply, err := p.Values(); err == nil {
		e.reply = reply
	}
}
