package e2e

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"testing"

	"github.com/moim-live/moim/internal/childtest"
)

// driver is a Node.js process that runs the real socket.io-client.
type driver struct {
	cmd    *exec.Cmd
	exited chan struct{}

	writing sync.Mutex // a second lock, because the reader must go on while a write waits
	stdin   io.WriteCloser

	mu      sync.Mutex
	next    int
	clients map[string]*ioConn
}

// startDriver runs a driver until the test ends.
func startDriver(t *testing.T) *driver {
	t.Helper()
	if err := clientOnce(); errors.Is(err, errNoNode) {
		skipOrFail(t, err)
	} else if err != nil {
		t.Fatal(err)
	}
	d := &driver{cmd: exec.Command("node", "client.mjs"), exited: make(chan struct{}), clients: make(map[string]*ioConn)}
	d.cmd.Stderr = os.Stderr
	childtest.DieWithParent(d.cmd)
	var err error
	if d.stdin, err = d.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := d.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(d.exited)
		d.read(stdout)
		_ = d.cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = d.stdin.Close()
		<-d.exited
	})
	return d
}

// ioOptions are socket.io-client's options.
type ioOptions struct {
	Auth              object   `json:"auth,omitempty"`
	Transports        []string `json:"transports,omitempty"`
	Path              string   `json:"path,omitempty"`
	Reconnection      bool     `json:"reconnection"`
	ReconnectionDelay int      `json:"reconnectionDelay,omitempty"` // milliseconds
}

// endpoint returns the Socket.IO endpoint. If again is set, its clients reconnect by themselves.
func (d *driver) endpoint(again bool) endpoint {
	return endpoint{name: "/socket.io", open: func(ctx context.Context, base, token string, l listener) (conn, error) {
		return d.open(ctx, base, ioOptions{
			Auth:              object{"token": token},
			Transports:        []string{"websocket"},
			Reconnection:      again,
			ReconnectionDelay: 50,
		}, l)
	}}
}

// connectError is socket.io-client's connect_error.
type connectError struct {
	Message string `json:"message"`
	Data    struct {
		Code string `json:"code"`
	} `json:"data"`
}

func (e *connectError) Error() string {
	return "connect_error: " + e.Message + " (" + e.Data.Code + ")"
}

// open opens a socket and waits until it is connected, or returns its *connectError. url may
// include a namespace.
func (d *driver) open(ctx context.Context, url string, options ioOptions, l listener) (*ioConn, error) {
	c := d.register(l, options.Reconnection)
	d.send(object{"op": "open", "client": c.name, "url": url, "options": options})
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	select {
	case err := <-c.first:
		if err != nil {
			c.close()
			return nil, err
		}
		return c, nil
	case <-c.lost:
		c.close()
		return nil, errLost
	case <-ctx.Done():
		c.close()
		return nil, fmt.Errorf("neither connect nor connect_error: %w", ctx.Err())
	case <-d.exited:
		return nil, errors.New("node ended")
	}
}

// register adds a client with this listener. If again is set, it reconnects by itself.
func (d *driver) register(l listener, again bool) *ioConn {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next++
	c := &ioConn{
		driver: d, name: strconv.Itoa(d.next), listener: l, again: again,
		first: make(chan error, 1), lost: make(chan struct{}), waiting: make(map[int]chan answer),
	}
	d.clients[c.name] = c
	return c
}

func (d *driver) send(command object) {
	encoded, err := json.Marshal(command)
	if err != nil {
		panic(err) // the tests encode only their own data
	}
	d.writing.Lock()
	defer d.writing.Unlock()
	_, _ = d.stdin.Write(append(encoded, '\n')) // callers notice that the process ended
}

// report is one line of client.mjs.
type report struct {
	Client string            `json:"client"`
	Type   string            `json:"type"`
	Reason string            `json:"reason"` // disconnect
	Event  string            `json:"event"`  // event
	ID     int               `json:"id"`     // answer
	Args   []json.RawMessage `json:"args"`   // event, answer

	Failure string `json:"failure"` // answer: why it failed
	connectError
}

func (d *driver) read(stdout io.Reader) {
	lines := bufio.NewReader(stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err != nil {
			return
		}
		var r report
		if err := json.Unmarshal(line, &r); err != nil {
			fmt.Fprintf(os.Stderr, "client.mjs: %s", line)
			continue
		}
		d.mu.Lock()
		c := d.clients[r.Client]
		d.mu.Unlock()
		if c != nil {
			c.take(r)
		}
	}
}

var errLost = errors.New("the connection is lost")

// ioConn is one socket of socket.io-client.
type ioConn struct {
	driver   *driver
	name     string
	listener listener
	again    bool       // reconnects by itself
	first    chan error // the result of the first attempt to connect
	lost     chan struct{}
	lose     sync.Once // closes lost

	mu      sync.Mutex
	next    int
	waiting map[int]chan answer
}

func (c *ioConn) take(r report) {
	switch r.Type {
	case "connect":
		c.listener.connected()
		c.settle(nil)
	case "connect_error":
		refused := r.connectError
		c.settle(&refused)
	case "disconnect":
		c.listener.disconnected(r.Reason)
		if !c.again {
			c.lose.Do(func() { close(c.lost) })
		}
	case "event":
		if len(r.Args) != 1 {
			c.listener.pushed(fmt.Sprintf("%s with %d arguments", r.Event, len(r.Args)), nil)
			return
		}
		c.listener.pushed(r.Event, r.Args[0])
	case "answer":
		c.mu.Lock()
		waiting := c.waiting[r.ID]
		delete(c.waiting, r.ID)
		c.mu.Unlock()
		var a answer
		if r.Failure != "" {
			a.Error = &apiError{Message: "no acknowledgement: " + r.Failure}
		} else if len(r.Args) != 1 || json.Unmarshal(r.Args[0], &a) != nil || (a.Data == nil) == (a.Error == nil) {
			a.Error = &apiError{Message: fmt.Sprintf("the acknowledgement is not one of data and error: %s", r.Args)}
		}
		if waiting != nil {
			waiting <- a
		}
	}
}

// settle reports the result of the first attempt to open, once.
func (c *ioConn) settle(err error) {
	select {
	case c.first <- err:
	default:
	}
}

// request implements conn.
func (c *ioConn) request(ctx context.Context, event string, data any) (json.RawMessage, error) {
	answered := make(chan answer, 1)
	c.mu.Lock()
	c.next++
	id := c.next
	c.waiting[id] = answered
	c.mu.Unlock()
	c.driver.send(object{"op": "emit", "client": c.name, "id": id, "event": event, "data": data})
	select {
	case a := <-answered:
		return a.result()
	case <-c.lost:
		return nil, errLost
	case <-c.driver.exited:
		return nil, errors.New("node ended")
	case <-ctx.Done():
		return nil, fmt.Errorf("no acknowledgement: %w", ctx.Err())
	}
}

// gone implements conn.
func (c *ioConn) gone() <-chan struct{} { return c.lost }

// close implements conn.
func (c *ioConn) close() {
	c.driver.send(object{"op": "close", "client": c.name})
	c.driver.mu.Lock()
	defer c.driver.mu.Unlock()
	delete(c.driver.clients, c.name)
}
