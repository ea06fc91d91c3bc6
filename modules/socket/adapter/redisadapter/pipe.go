package redisadapter

import (
	"bufio"
	"context"
	"errors"
	"time"

	"github.com/moim-live/moim/modules/redisrole"
)

const (
	// Of messages that nobody waits for the server answers one of so many, and
	// one in so long. An answer costs about as much as the message itself, and
	// these say early enough what becomes of the others.
	mostUnanswered = 256
	longUnanswered = time.Second

	// A connection has this part of the time that a batch has; if there is none
	// then, none is asked for again for pipeRest.
	pipeShare = 4
	pipeRest  = time.Second

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

var (
	errNoPipe  = errors.New("redisadapter: there is no connection to publish on")
	errAnswers = errors.New("redisadapter: the server answers what it was asked not to")
)

// pipe carries messages to one server over a connection of its own, on which it
// speaks Redis's protocol itself: so that not every message is answered.
type pipe struct {
	dial     func(ctx context.Context) (*redisrole.Conn, error)
	client   carrier   // takes what this cannot, for want of a connection
	counters *counters // of messages that nobody waits for

	conn       *redisrole.Conn // nil: not connected
	notBefore  time.Time       // it is connected
	answers    *bufio.Reader
	silent     bool      // the server may be told not to answer
	unanswered int       // messages since the last answer
	pending    int       // those of them that are counted when the next one tells their fate
	answered   time.Time // when the last answer came
	deadline   time.Time // the connection's
	buffer     []byte
	fates      []error
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
			if refused, err := p.answer(); err == nil {
				p.settle(refused)
			}
		}
	}
	p.disconnect()
}

// connect sees to it that there is a connection, and none that has ended.
func (p *pipe) connect(deadline time.Time) error {
	if p.conn != nil && p.answers.Buffered() == 0 && p.conn.Quiet() {
		return nil
	}
	p.disconnect()
	now := time.Now()
	if now.Before(p.notBefore) {
		return errNoPipe
	}
	p.notBefore = now.Add(pipeRest)
	deadline = now.Add(deadline.Sub(now) / pipeShare)
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
	if err != nil {
		return err
	}
	p.silent, p.answered, p.notBefore = refused == nil, time.Now(), time.Time{}
	return nil
}

// disconnect ends the connection, and with it the hope for what is pending.
func (p *pipe) disconnect() {
	if p.conn != nil {
		_ = p.conn.Close()
		p.conn = nil
	}
	p.settle(errNoPipe)
}

// exchange writes the batch, reads what is answered and tells who waits.
func (p *pipe) exchange(deadline time.Time, batch []*outgoing) error {
	now := time.Now()
	due := p.unanswered+len(batch) >= mostUnanswered || now.Sub(p.answered) >= longUnanswered
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
	if p.answers.Buffered() > 0 { // it has answered what it was told not to: which answer is whose?
		return errAnswers
	}
	next := 0
	for i, out := range batch {
		if !asks(i) {
			p.unanswered++
			if out.counted != nil {
				p.pending++
			}
			continue
		}
		p.settle(p.fates[next])
		p.answered = now
		out.became(p.fates[next])
		next++
	}
	return nil
}

// settle counts what is pending as the message that was answered: all are of one
// user, to one server.
func (p *pipe) settle(refused error) {
	if refused == nil {
		p.counters.published.Add(uint64(p.pending))
	} else {
		p.counters.failed.Add(uint64(p.pending))
	}
	p.unanswered, p.pending = 0, 0
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
