package redisadapter

import (
	"bufio"
	"context"
	"time"

	"github.com/moim-live/moim/modules/redisrole"
)

const (
	// Of messages that nobody waits for the server answers one of so many, and
	// one in so long. An answer costs about as much as the message itself, and
	// these say early enough what becomes of the others.
	mostUnanswered = 256
	longUnanswered = time.Second

	pipeAnswers  = 512       // bytes of the buffer for answers
	pipeMessages = 128 << 10 // bytes of the buffer for messages that is kept
)

// Whole commands, and the beginning of one.
const (
	publishHead = "*3\r\n$7\r\nPUBLISH\r\n"
	replySkip   = "*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$4\r\nSKIP\r\n" // the next command is not to be answered
	replyOn     = "*3\r\n$6\r\nCLIENT\r\n$5\r\nREPLY\r\n$2\r\nON\r\n"
	ping        = "*1\r\n$4\r\nPING\r\n"
)

// pipe carries messages to one server over a connection of its own, on which it
// speaks Redis's protocol itself: so that not every message is answered.
type pipe struct {
	dial     func(ctx context.Context) (*redisrole.Conn, error)
	client   carrier   // takes what this cannot, for want of a connection
	counters *counters // of messages that nobody waits for

	conn     *redisrole.Conn // nil: not connected
	answers  *bufio.Reader
	silent   bool      // the server may be told not to answer
	pending  int       // messages whose fate the next answer tells
	answered time.Time // when the last answer came
	deadline time.Time // the connection's
	buffer   []byte
	fates    []error
}

var _ carrier = (*pipe)(nil)

// carry implements [carrier].
func (p *pipe) carry(deadline time.Time, batch []*outgoing) error {
	if p.connect(deadline) != nil {
		p.disconnect()
		return p.client.carry(deadline, batch)
	}
	err := p.exchange(deadline, batch)
	if err != nil {
		p.disconnect()
	}
	return err
}

// finish implements [carrier].
func (p *pipe) finish(deadline time.Time) {
	if p.pending > 0 {
		p.buffer = append(p.buffer[:0], ping...)
		if p.write(deadline) == nil {
			if refused, err := p.answer(); refused == nil && err == nil {
				p.settle()
			}
		}
	}
	p.disconnect()
}

// connect sees to it that there is a connection, and none that has ended.
func (p *pipe) connect(deadline time.Time) error {
	if p.conn != nil && p.conn.Quiet() {
		return nil
	}
	p.disconnect()
	ctx, cancel := context.WithDeadline(context.Background(), deadline)
	defer cancel()
	conn, err := p.dial(ctx)
	if err != nil {
		return err
	}
	p.conn, p.answers, p.deadline = conn, bufio.NewReaderSize(conn, pipeAnswers), time.Time{}
	p.buffer = append(p.buffer[:0], replyOn...)
	if err := p.write(deadline); err != nil {
		return err
	}
	refused, err := p.answer()
	p.silent, p.answered = refused == nil, time.Now()
	return err
}

// disconnect ends the connection, and with it the hope for what is pending.
func (p *pipe) disconnect() {
	if p.conn != nil {
		_ = p.conn.Close()
		p.conn = nil
	}
	p.counters.failed.Add(uint64(p.pending))
	p.pending = 0
}

// exchange writes the batch, reads what is answered and tells who waits.
func (p *pipe) exchange(deadline time.Time, batch []*outgoing) error {
	now := time.Now()
	due := p.pending+len(batch) >= mostUnanswered || now.Sub(p.answered) >= longUnanswered
	asks := func(i int) bool { return !p.silent || batch[i].done != nil || due && i == len(batch)-1 }
	p.buffer, p.fates = p.buffer[:0], p.fates[:0]
	asked := 0
	for i, out := range batch {
		if asks(i) {
			asked++
		} else {
			p.buffer = append(p.buffer, replySkip...)
		}
		p.buffer = appendBulk(appendBulk(append(p.buffer, publishHead...), out.channel), out.payload)
	}
	if err := p.write(deadline); err != nil {
		return err
	}
	for range asked {
		refused, err := p.answer()
		if err != nil {
			return err
		}
		p.fates = append(p.fates, refused)
	}
	next := 0
	for i, out := range batch {
		if !asks(i) {
			p.pending++
			continue
		}
		p.settle()
		out.became(p.fates[next])
		next++
	}
	return nil
}

// settle notes that the server has taken what was pending.
func (p *pipe) settle() {
	p.counters.published.Add(uint64(p.pending))
	p.pending, p.answered = 0, time.Now()
}

// write writes the buffer.
func (p *pipe) write(deadline time.Time) error {
	// To set it costs more than an earlier one is worth.
	if p.deadline.After(deadline) || time.Until(p.deadline) < time.Until(deadline)*3/4 {
		if err := p.conn.SetDeadline(deadline); err != nil {
			return redisError("publish", err)
		}
		p.deadline = deadline
	}
	_, err := p.conn.Write(p.buffer)
	if cap(p.buffer) > pipeMessages {
		p.buffer = nil
	}
	if err != nil {
		return redisError("publish", err)
	}
	return nil
}

// answer reads the answer to one command: why it was refused, or nil.
func (p *pipe) answer() (refused, err error) {
	line, err := readLine(p.answers)
	if err != nil {
		return nil, redisError("read an answer", err)
	}
	switch line[0] {
	case ':', '+':
		return nil, nil
	case '-':
		return redisError("publish", refusal(line[1:])), nil
	default:
		return nil, redisError("read an answer", unexpected(line))
	}
}
