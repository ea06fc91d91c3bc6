package redisadapter

import (
	"bufio"
	"context"
	"sync"
	"time"

	"github.com/moim-live/moim/modules/redisrole"
)

const listenBuffer = 16 << 10 // bytes

// listener is a stream that speaks Redis's protocol itself, on a connection of
// its own: of this node's own messages, which come back to it, it keeps nothing,
// and of others no more than it hands on.
type listener struct {
	conn *redisrole.Conn
	own  func(begin []byte) bool

	reader *bufio.Reader // receive's, like the next one
	name   []byte

	mu      sync.Mutex // held while a command is written
	command []byte
}

var _ stream = (*listener)(nil)

// newListener returns a stream over conn. own says by its first bytes whether a
// message is this node's.
func newListener(conn *redisrole.Conn, own func(begin []byte) bool) *listener {
	return &listener{conn: conn, own: own, reader: bufio.NewReaderSize(conn, listenBuffer)}
}

func (l *listener) subscribe(ctx context.Context, channels ...string) error {
	return l.say(ctx, "SUBSCRIBE", channels...)
}

func (l *listener) unsubscribe(ctx context.Context, channels ...string) error {
	return l.say(ctx, "UNSUBSCRIBE", channels...)
}

func (l *listener) ping(ctx context.Context, payload string) error {
	return l.say(ctx, "PING", payload)
}

func (l *listener) close() { _ = l.conn.Close() }

// say sends a command.
func (l *listener) say(ctx context.Context, command string, args ...string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.command = appendCommand(l.command[:0], command, len(args))
	for _, arg := range args {
		l.command = appendBulk(l.command, arg)
	}
	deadline, ok := ctx.Deadline()
	if !ok {
		deadline = time.Now().Add(publishTimeout)
	}
	if err := l.conn.SetWriteDeadline(deadline); err != nil {
		return err
	}
	_, err := l.conn.Write(l.command)
	return err
}

func (l *listener) receive() (arrival, error) {
	line, err := readLine(l.reader)
	if err != nil {
		return arrival{}, err
	}
	switch line[0] {
	case '>', '*': // a push, of which RESP2 makes an array
		return l.push()
	case '$':
		l.name, err = readRest(l.reader, line, l.name[:0])
		return arrival{kind: pong, payload: string(l.name)}, err
	case '+':
		return arrival{kind: pong, payload: string(line[1:])}, nil
	case '-':
		return arrival{}, refusal(line[1:])
	default:
		return arrival{}, unexpected(line)
	}
}

// push reads on after the first line of one: its kind and what belongs to that.
func (l *listener) push() (a arrival, err error) {
	if l.name, err = readBulk(l.reader, l.name[:0]); err != nil {
		return a, err
	}
	switch string(l.name) {
	case "message":
		return l.message()
	case "subscribe":
		a.kind = entered
	case "unsubscribe":
		a.kind = left
	case "pong":
		l.name, err = readBulk(l.reader, l.name[:0])
		return arrival{kind: pong, payload: string(l.name)}, err
	default:
		return a, unexpected(l.name)
	}
	if l.name, err = readBulk(l.reader, l.name[:0]); err != nil {
		return a, err
	}
	a.channel = string(l.name)
	_, err = readNumber(l.reader, ':')
	return a, err
}

// message reads a channel and what was published there.
func (l *listener) message() (a arrival, err error) {
	if l.name, err = readBulk(l.reader, l.name[:0]); err != nil {
		return a, err
	}
	size, err := readNumber(l.reader, '$')
	if err != nil {
		return a, err
	}
	begin, err := l.reader.Peek(min(size, listenBuffer))
	if err != nil {
		return a, err
	}
	drop := len("\r\n")
	switch {
	case l.own(begin):
		a.kind = echo
		drop += size
	case size <= len(begin):
		a.channel, a.payload = string(l.name), string(begin)
		drop += size
	case size > maxBulk: // whoever reads it finds that it is no envelope
		a.channel = string(l.name)
		drop += size
	default:
		payload, err := readBody(l.reader, nil, size)
		a.channel, a.payload = string(l.name), string(payload)
		return a, err
	}
	_, err = l.reader.Discard(drop)
	return a, err
}
