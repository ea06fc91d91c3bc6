package nodebridge

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/socket"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/engine"
)

// question is a question to all servers in all protocols. Bridge.mu guards it.
type question struct {
	acks    bool // it waits for acknowledgements
	servers int  // servers that have not answered yet
	asked   int  // clients that were asked
	sockets []socket.Info
	replies []socket.Args
	echoes  map[*link]chan struct{} // closed when this node's own message has come back
	counted bool                    // the number of servers is known
	done    chan struct{}           // closed when all have answered
}

// add adds an answer, and reports whether it was the last one.
func (q *question) add(m message) (last bool) {
	if q.over() {
		return false
	}
	switch m.kind {
	case answerSockets:
		q.servers--
		for _, s := range m.sockets {
			q.sockets = append(q.sockets, socket.Info{ID: s.ID, Rooms: s.Rooms})
		}
	case answerCount:
		q.servers--
		q.asked += m.count
	case answerAck:
		q.replies = append(q.replies, m.ack)
	}
	return q.over()
}

// over reports whether all have answered.
func (q *question) over() bool {
	return q.counted && q.servers <= 0 && (!q.acks || len(q.replies) >= q.asked)
}

// answered handles an answer.
func (b *Bridge) answered(m message) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if q := b.questions[m.question]; q != nil && q.add(m) {
		close(q.done)
	}
}

// Sockets implements [socket.Bridge].
func (b *Bridge) Sockets(ctx context.Context, to socket.Selection) ([]socket.Info, error) {
	q, err := b.ask(ctx, message{kind: fetch, namespace: to.Namespace, to: selectionOf(to)})
	return q.sockets, err
}

// EmitWithAck implements [socket.Bridge].
func (b *Bridge) EmitWithAck(ctx context.Context, to socket.Selection, env adapter.Envelope) ([]socket.Args, error) {
	q, err := b.ask(ctx, broadcastOf(to, env))
	return q.replies, err
}

// ask asks the servers of all protocols, including this one, and waits for the answers
// until ctx ends.
func (b *Bridge) ask(ctx context.Context, m message) (*question, error) {
	q := &question{acks: m.kind == broadcast, done: make(chan struct{})}
	if !slices.Contains(b.local.Namespaces(), m.namespace) {
		return q, fmt.Errorf("%w: nodebridge: the gateway has no handler for the namespace %s, so Node's servers cannot answer", socket.ErrIncomplete, m.namespace)
	}
	m.question = engine.NewID()
	if deadline, set := ctx.Deadline(); set && q.acks {
		m.to.Flags.Timeout = float64(time.Until(deadline).Milliseconds())
	}
	servers, err := b.count(ctx, m.namespace)
	if err != nil {
		return q, err
	}
	q.echoes = make(map[*link]chan struct{}, len(servers))
	var echoes []chan struct{}
	for l := range servers {
		q.echoes[l] = make(chan struct{})
		echoes = append(echoes, q.echoes[l])
	}
	b.mu.Lock()
	b.questions[m.question] = q
	b.mu.Unlock()
	defer func() {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.questions, m.question)
	}()
	for l := range servers {
		if err := l.send(m); err != nil {
			return q, err
		}
	}
	if err := b.settle(ctx, q, m.namespace, echoes, servers); err != nil {
		return q, err
	}
	select {
	case <-q.done:
		return q, nil
	case <-ctx.Done():
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.questions, m.question) // after this, q does not change any more
	switch {
	case q.servers > 0:
		return q, fmt.Errorf("%w: %d of Node's servers are missing", socket.ErrIncomplete, q.servers)
	case !q.over():
		return q, fmt.Errorf("%w: %d clients of Node's servers did not acknowledge", socket.ErrIncomplete, q.asked-len(q.replies))
	}
	return q, nil
}

// count returns the number of servers on each link, including this one.
func (b *Bridge) count(ctx context.Context, namespace string) (map[*link]int, error) {
	servers := make(map[*link]int)
	for _, l := range b.links {
		if l.missing.Load() {
			continue
		}
		n, err := l.servers(ctx, b.client, namespace)
		switch {
		case err != nil && l.unsupported(err):
		case err != nil:
			return nil, fmt.Errorf("%w: nodebridge: count Node's servers: %w", socket.ErrIncomplete, err)
		default:
			servers[l] = n
		}
	}
	return servers, nil
}

// settle determines how many servers must answer. This node's own subscription may be
// renewed just now, and then is not counted. So settle waits for its own message, counts
// again, and uses the larger number.
func (b *Bridge) settle(ctx context.Context, q *question, namespace string, echoes []chan struct{}, before map[*link]int) error {
	for _, echo := range echoes {
		select {
		case <-echo:
		case <-ctx.Done():
			return fmt.Errorf("%w: nodebridge: the connection to Redis is being renewed", socket.ErrIncomplete)
		}
	}
	after, err := b.count(ctx, namespace)
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for l, n := range before {
		q.servers += max(n, after[l]) - 1
	}
	q.counted = true
	if q.over() {
		close(q.done)
	}
	return nil
}

// echoed records that this node's own message has come back.
func (b *Bridge) echoed(l *link, id string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	q := b.questions[id]
	if q == nil || q.echoes[l] == nil {
		return
	}
	close(q.echoes[l])
	delete(q.echoes, l)
}
