package limit_test

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/moim-live/moim/modules/limit"
)

// cluster is a census of two nodes.
type cluster struct {
	mu     sync.Mutex
	counts map[string]map[string]int // by user and node
	down   bool
}

type member struct {
	*cluster
	node string
}

func (m member) Count(_ context.Context, userID string, own int) (others int, err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.down {
		return 0, errors.New("down")
	}
	if m.counts[userID] == nil {
		m.counts[userID] = map[string]int{}
	}
	m.counts[userID][m.node] = own
	for node, n := range m.counts[userID] {
		if node != m.node {
			others += n
		}
	}
	return others, nil
}

func TestSockets(t *testing.T) {
	t.Parallel()
	shared := &cluster{counts: map[string]map[string]int{}}
	cfg := limit.Config{UserSockets: 5}
	a, _ := start(t, cfg, member{shared, "a"})
	b, _ := start(t, cfg, member{shared, "b"})
	var closers []func()
	for i := range 5 {
		node := []*limit.Limits{a, b}[i%2]
		closed, err := node.Socket(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		closers = append(closers, closed)
	}
	for _, node := range []*limit.Limits{a, b} {
		if _, err := node.Socket(t.Context(), "alice"); wait(t, err) == 0 {
			t.Error("a sixth socket is allowed")
		}
	}
	if _, err := a.Socket(t.Context(), "bob"); err != nil {
		t.Error(err)
	}
	closers[0]()
	closers[0]()
	if _, err := b.Socket(t.Context(), "alice"); err != nil {
		t.Errorf("after one was closed: %v", err)
	}
	shared.down = true
	if _, err := a.Socket(t.Context(), "alice"); err != nil {
		t.Errorf("without the other nodes: %v", err)
	}
}

// TestSocketsRace opens and closes sockets of one user concurrently. At the end, the other
// nodes must know that none are left.
func TestSocketsRace(t *testing.T) {
	t.Parallel()
	shared := &cluster{counts: map[string]map[string]int{}}
	l, _ := start(t, limit.Config{}, member{shared, "a"})
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for range 200 {
				closed, err := l.Socket(context.Background(), "alice")
				if err != nil {
					t.Error(err)
					return
				}
				closed()
			}
		})
	}
	all.Wait()
	if n := shared.counts["alice"]["a"]; n != 0 {
		t.Errorf("%d sockets are left", n)
	}
}

func TestPending(t *testing.T) {
	t.Parallel()
	l, _ := start(t, limit.Config{AddressPending: 2}, nil)
	first, err := l.Pending("192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Pending("192.0.2.1"); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Pending("192.0.2.1"); wait(t, err) == 0 {
		t.Error("a third socket is allowed")
	}
	first()
	first()
	if _, err := l.Pending("192.0.2.1"); err != nil {
		t.Error(err)
	}
	if _, err := l.Pending("192.0.2.1"); wait(t, err) == 0 {
		t.Error("settling twice counted twice")
	}
}

func TestRunning(t *testing.T) {
	t.Parallel()
	l, _ := start(t, limit.Config{UserRunning: 2}, nil)
	var done []func()
	for range 2 {
		end, err := l.Run(t.Context(), "alice")
		if err != nil {
			t.Fatal(err)
		}
		done = append(done, end)
	}
	if end, err := l.Run(t.Context(), "bob"); err != nil {
		t.Error(err)
	} else {
		end()
	}
	waits := make(chan error)
	go func() {
		end, err := l.Run(t.Context(), "alice")
		if err == nil {
			end()
		}
		waits <- err
	}()
	done[0]()
	if err := <-waits; err != nil {
		t.Errorf("after another one has ended: %v", err)
	}
	again, err := l.Run(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Run(t.Context(), "alice"); wait(t, err) == 0 { // Run waits up to a second
		t.Error("three are allowed at once")
	}
	again()
	done[1]()
}
