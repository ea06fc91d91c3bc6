package presence

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// markPushes is an emitter that keeps the read marks. Each group has the given number of
// sockets.
type markPushes struct {
	members int

	mu   sync.Mutex
	sent []string
	size []int
}

func (p *markPushes) Sockets(string) []adapter.Socket { return make([]adapter.Socket, p.members) }

func (p *markPushes) CastQueued(_ context.Context, env adapter.Envelope) {
	var data struct {
		GroupID string
		Items   []group.ReadMark
	}
	if err := json.Unmarshal(env.Data, &data); err != nil || env.Event != "group:read" || env.Room != group.Room(data.GroupID) || !env.Lossy {
		panic(fmt.Sprint("not read marks: ", env, err))
	}
	if len(env.Data) > maxPush {
		panic(fmt.Sprint("a push of ", len(env.Data), " bytes"))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.sent = append(p.sent, fmt.Sprint(data.GroupID, data.Items))
	p.size = append(p.size, len(data.Items))
}

// take returns the pushes since the last call, and the number of items in each.
func (p *markPushes) take() (sent []string, size []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	sent, size = p.sent, p.size
	p.sent, p.size = nil, nil
	return sent, size
}

func marked(t *testing.T, members int, fn func(t *testing.T, m *Marks, out *markPushes)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		out := &markPushes{members: members}
		m := NewMarks(group.Config{}, out, slog.New(slog.DiscardHandler))
		if err := m.Start(t.Context()); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := m.Stop(context.Background()); err != nil {
				t.Error(err)
			}
		})
		fn(t, m, out)
	})
}

const markWindow = 200 * time.Millisecond

// TestMarksAreGathered checks that the marks of one window are sent in one push, with the
// last mark of each member.
func TestMarksAreGathered(t *testing.T) {
	t.Parallel()
	marked(t, 2, func(t *testing.T, m *Marks, out *markPushes) {
		for _, version := range []int64{3, 5, 4} {
			m.Tell("g", "bo", version)
		}
		m.Tell("g", "ana", 2)
		after(markWindow - time.Millisecond)
		sent, _ := out.take()
		want(t, "before the window ends", len(sent), 0)
		after(time.Millisecond)
		sent, _ = out.take()
		want(t, "one window", sent, []string{"g[{ana 2} {bo 5}]"})
		after(time.Minute)
		sent, _ = out.take()
		want(t, "nothing new", len(sent), 0)
	})
}

// TestMarksAreBounded checks that marks that do not fit into 64 KiB are sent in the next
// window, together with new ones.
func TestMarksAreBounded(t *testing.T) {
	t.Parallel()
	marked(t, 2, func(t *testing.T, m *Marks, out *markPushes) {
		for i := range 2500 {
			m.Tell("g", fmt.Sprintf("user-%04d", i), 1)
		}
		after(markWindow)
		m.Tell("g", "user-2400", 7)
		_, size := out.take()
		want(t, "the first window", size, []int{maxItems})
		after(markWindow)
		_, size = out.take()
		want(t, "the second", size, []int{maxItems})
		after(markWindow)
		sent, size := out.take()
		want(t, "the third", size, []int{500})
		if got := sent[0]; len(got) < 20 || got[len(got)-len("{user-2499 1}]"):] != "{user-2499 1}]" {
			t.Errorf("the last push ends with %q", got)
		}
	})
}

// TestMarksOfLargeGroups checks that a large group gets marks less often, and that it does
// not delay another group.
func TestMarksOfLargeGroups(t *testing.T) {
	t.Parallel()
	marked(t, 4*membersAWindow, func(t *testing.T, m *Marks, out *markPushes) {
		m.Tell("g", "bo", 1)
		after(markWindow)
		sent, _ := out.take()
		want(t, "the first mark", sent, []string{"g[{bo 1}]"})
		m.Tell("g", "bo", 2)
		m.Tell("other", "bo", 1)
		after(markWindow)
		sent, _ = out.take()
		want(t, "the next window", sent, []string{"other[{bo 1}]"})
		m.Tell("g", "cy", 3)
		after(2 * markWindow)
		sent, _ = out.take()
		want(t, "before the next push is allowed", len(sent), 0)
		after(markWindow)
		sent, _ = out.take()
		want(t, "four windows later", sent, []string{"g[{bo 2} {cy 3}]"})
	})
}
