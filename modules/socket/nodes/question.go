package nodes

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"slices"
	"time"
)

// reportBytes is the size up to which entries are combined in one report.
const reportBytes = 256 << 10

// report is one part of a node's answer to a question.
type report struct {
	Question string            `json:"question"`
	Node     string            `json:"node"`
	Entries  []json.RawMessage `json:"entries"`
	More     bool              `json:"more,omitempty"` // another part follows
}

// Question is a request that other nodes answer. Directory.mu guards it until done is
// closed.
type Question struct {
	nodes   *Directory
	waiting map[string]peer // nodes that have not answered
	missing map[string]peer // the same, for nodes that were not heard for a while
	entries []json.RawMessage
	first   bool          // the first entry ends the question
	done    chan struct{} // closed when waiting is empty
	err     error         // why it could not be published
}

// Ask asks all other nodes. It calls publish with the id of the question. The question ends
// when ctx ends.
func (n *Directory) Ask(ctx context.Context, publish func(id string) error) *Question {
	return n.ask(ctx, &Question{}, "", publish)
}

// AskFirst asks all other nodes, like Ask. It returns the first report that comes before
// ctx ends.
func (n *Directory) AskFirst(ctx context.Context, publish func(id string) error) []json.RawMessage {
	entries, _ := n.ask(ctx, &Question{first: true}, "", publish).Wait(ctx)
	return entries
}

// AskOne asks one node, like Ask. It returns what the node reports before ctx ends.
func (n *Directory) AskOne(ctx context.Context, node string, publish func(id string) error) []json.RawMessage {
	entries, _ := n.ask(ctx, &Question{}, node, publish).Wait(ctx)
	return entries
}

func (n *Directory) ask(ctx context.Context, q *Question, only string, publish func(id string) error) *Question {
	q.nodes, q.waiting, q.missing, q.done = n, make(map[string]peer), make(map[string]peer), make(chan struct{})
	id := rand.Text()
	n.mu.Lock()
	for node, p := range n.peers {
		switch silence := time.Since(p.heard); {
		case only != "" && node != only:
		case silence < awaitedFor:
			q.waiting[node] = p
		case silence < missedFor:
			q.missing[node] = p
		}
	}
	if len(q.waiting) == 0 {
		close(q.done)
	}
	n.questions[id] = q
	n.mu.Unlock()
	context.AfterFunc(ctx, func() {
		n.mu.Lock()
		defer n.mu.Unlock()
		delete(n.questions, id)
	})
	q.err = publish(id)
	return q
}

// answered records that a node has answered completely.
func (q *Question) answered(node string) {
	delete(q.missing, node)
	if _, waiting := q.waiting[node]; !waiting {
		return
	}
	delete(q.waiting, node)
	if len(q.waiting) == 0 {
		close(q.done)
	}
}

// Err returns the error of publishing the question, or nil.
func (q *Question) Err() error { return q.err }

// Wait waits for the other nodes until ctx ends. It returns what they reported, and the
// names of those that did not report. If the question was not published, it does not wait.
func (q *Question) Wait(ctx context.Context) (entries []json.RawMessage, missing []string) {
	if q.err == nil {
		select {
		case <-q.done:
		case <-ctx.Done():
		}
	}
	q.nodes.mu.Lock()
	defer q.nodes.mu.Unlock()
	for _, peers := range []map[string]peer{q.waiting, q.missing} {
		for _, p := range peers {
			missing = append(missing, p.name())
		}
	}
	slices.Sort(missing)
	return slices.Clone(q.entries), missing
}

// reported handles a part of another node's answer.
func (n *Directory) reported(text string) {
	var r report
	if json.Unmarshal([]byte(text), &r) != nil {
		return // not from a node
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	q := n.questions[r.Question]
	if q == nil {
		return // the question has ended
	}
	q.entries = append(q.entries, r.Entries...)
	if !r.More {
		q.answered(r.Node)
	}
	if q.first && len(q.entries) > 0 {
		for node := range q.waiting {
			q.answered(node)
		}
	}
}

// Answer reports entries to the node that asked a question.
func (n *Directory) Answer(ctx context.Context, node, question string, entries []any) {
	r := report{Question: question, Node: n.self.Node, More: true}
	send := func() {
		_ = n.Tell(ctx, node, eventReport, r) // if a report is lost, this node counts as missing
		r.Entries = nil
	}
	size := 0
	for _, e := range entries {
		data, _ := json.Marshal(e) // entries are strings and JSON
		if size += len(data); size > reportBytes && len(r.Entries) > 0 {
			send()
			size = len(data)
		}
		r.Entries = append(r.Entries, data)
	}
	r.More = false
	send()
}
