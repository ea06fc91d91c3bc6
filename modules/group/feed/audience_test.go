package feed

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// counter returns a fixed number of online users, or an error.
type counter struct {
	mu     sync.Mutex
	online map[string]int
	err    error
	asked  []int // number of groups in each call
}

func (c *counter) Count(_ context.Context, ids []string) ([]int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.asked = append(c.asked, len(ids))
	online := make([]int, len(ids))
	for i, id := range ids {
		online[i] = c.online[id]
	}
	return online, c.err
}

func (c *counter) set(online int, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.online["g"], c.err = online, err
}

func (c *counter) questions() []int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Clone(c.asked)
}

func TestAttendance(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := &counter{online: map[string]int{"g": 5000}}
		a := newAttendance(c, slog.New(slog.DiscardHandler))
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		go a.loop(ctx)
		later := func(d time.Duration, want int) {
			t.Helper()
			time.Sleep(d)
			synctest.Wait()
			if n := a.of("g", time.Now()); n != want {
				t.Errorf("%d are online, want %d", n, want)
			}
		}
		later(0, 0)
		later(countEvery, 5000)
		c.set(7, nil)
		later(countAge-time.Millisecond, 5000)
		later(time.Millisecond, 5000)
		c.set(7, errors.New("down"))
		later(countEvery, 5000)
		c.set(7, nil)
		later(countEvery, 7)
		if asked := c.questions(); len(asked) != 3 {
			t.Errorf("the store was asked %d times, want 3", len(asked))
		}
		time.Sleep(countKept)
		a.of("h", time.Now())
		time.Sleep(countEvery)
		synctest.Wait()
		a.mu.Lock()
		if len(a.known) != 1 {
			t.Errorf("%d groups are kept, want 1", len(a.known))
		}
		a.mu.Unlock()
		before := len(c.questions())
		for i := range 2 * countBatch {
			a.of(string(rune('a'+i%26))+time.Duration(i).String(), time.Now())
		}
		time.Sleep(4 * countEvery)
		synctest.Wait()
		if asked := c.questions()[before:]; len(asked) != 2 || asked[0] != countBatch {
			t.Errorf("the calls were about %v groups, want two calls with %d", asked, countBatch)
		}
	})
}
