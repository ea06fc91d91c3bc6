package e2e

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
)

// followers runs the clients in docs/sockets.md exactly as they are printed there.
type followers struct {
	*deployment
	t       *testing.T
	modules [2]string // of Socket.IO and of the plain protocol
}

// newFollowers reads the clients from the document.
func newFollowers(t *testing.T, d *deployment) *followers {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "docs", "sockets.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(text), "\n## A client\n")
	var blocks []string
	for {
		var block string
		var found bool
		if _, section, found = strings.Cut(section, "```js\n"); !found {
			break
		}
		block, section, _ = strings.Cut(section, "```\n")
		blocks = append(blocks, block)
	}
	if len(blocks) != 3 {
		t.Fatalf("docs/sockets.md shows %d blocks of code for clients, want follow and two ways to connect", len(blocks))
	}
	dir := t.TempDir()
	installed, err := filepath.Abs("node_modules")
	if err == nil {
		err = os.Symlink(installed, filepath.Join(dir, "node_modules"))
	}
	f := &followers{deployment: d, t: t}
	for i, name := range []string{"socketio.mjs", "plain.mjs"} {
		f.modules[i] = filepath.Join(dir, name)
		if err == nil {
			err = os.WriteFile(f.modules[i], []byte(blocks[1+i]+blocks[0]), 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// both makes a user follow a group on a node with both clients.
func (f *followers) both(node int, user, groupID string) []*follower {
	f.t.Helper()
	base := f.node(node).URL()
	return []*follower{
		f.follow(f.modules[0], base, user, groupID),
		f.follow(f.modules[1], "ws"+strings.TrimPrefix(base, "http")+"/ws", user, groupID),
	}
}

func (f *followers) follow(module, url, user, groupID string) *follower {
	f.t.Helper()
	l := &follower{stream: &stream{groupID: groupID}, name: user + "@" + url}
	c := f.driver.register(l, true)
	f.driver.send(object{"op": "follow", "client": c.name, "module": module, "url": url, "token": f.token(user), "groupId": groupID})
	f.t.Cleanup(func() {
		for _, fault := range l.faults() {
			f.t.Errorf("%s: %s", l.name, fault)
		}
	})
	return l
}

// follower receives the calls of such a client and checks each one.
type follower struct {
	*stream
	name string

	mu       sync.Mutex
	starts   int
	upgrades int      // connections that upgraded to a WebSocket
	overs    []string // the reason of each end
	broken   []string
}

// pushed implements listener.
func (f *follower) pushed(call string, data json.RawMessage) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var g group
	var e event
	var why string
	var err error
	switch call {
	case "start":
		if err = json.Unmarshal(data, &g); f.starts > 0 {
			f.end("started again")
		}
		f.starts++
		f.begin(subscription{Group: g, Version: g.Version})
	case "apply":
		if err = json.Unmarshal(data, &e); f.starts == 0 {
			err = errors.New("called before start")
		}
		f.take(e)
	case "upgraded":
		f.upgrades++
	case "over":
		err = json.Unmarshal(data, &why)
		f.end(why)
		f.overs = append(f.overs, why)
	default:
		err = errors.New("an unknown call")
	}
	if err != nil {
		f.broken = append(f.broken, fmt.Sprintf("%s %s: %v", call, data, err))
	}
}

// disconnected and connected implement listener. The clients do not report these.
func (f *follower) disconnected(string) {}
func (f *follower) connected()          {}

// started returns how often the client started from the beginning.
func (f *follower) started() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.starts
}

// upgraded returns how many connections began with polling and upgraded to a WebSocket.
func (f *follower) upgraded() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.upgrades
}

// over returns the reason for each time that the client reported its end.
func (f *follower) over() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.overs)
}

// faults returns all violations that were found.
func (f *follower) faults() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.stream.mu.Lock()
	defer f.stream.mu.Unlock()
	return append(slices.Clone(f.broken), f.wrong...)
}
