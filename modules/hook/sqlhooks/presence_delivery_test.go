package sqlhooks_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/presence"
	"github.com/moim-live/moim/modules/hook"
	"github.com/moim-live/moim/modules/hook/sqlhooks"
)

// members is a presence store that returns the users of online.
type members struct {
	mu     sync.Mutex
	online map[string][]string // user ids, by group
	tell   presence.Observer
}

func (m *members) List(_ context.Context, groupID string) (list []group.Present, _ error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, id := range m.online[groupID] {
		list = append(list, group.Present{UserID: id, Status: group.StatusOnline})
	}
	return append(list, group.Present{UserID: "lately", Status: group.StatusOffline}), nil
}

func (m *members) Report() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for groupID, ids := range m.online {
		for _, id := range ids {
			m.tell.Saw(presence.Sighting{GroupID: groupID, UserID: id, Online: true, At: time.Now()})
		}
	}
}

// presenceNode has the parts of a node that deliver presence to hooks.
type presenceNode struct {
	*hook.Dispatcher
	*hook.Recorder
}

func (w *world) presenceNode(to hook.Destination, m *members) presenceNode {
	w.Helper()
	log, store, presences := slog.New(slog.DiscardHandler), sqlhooks.New(w.db), sqlhooks.NewPresence(w.db)
	r := hook.NewRecorder(presences, log)
	m.tell = r
	d := hook.NewDispatcher(hook.Deps{
		Definitions: store, Positions: store, Spreader: store, Backlogs: store, Sender: to,
		Presences: presences, Recorder: r, Present: m, Checks: hook.Checks{Every: 100 * time.Millisecond, Look: 20 * time.Millisecond}, Log: log,
	})
	w.must(r.Start(w.Context()))
	w.must(d.Start(w.Context()))
	w.Cleanup(func() {
		for _, stop := range []func(context.Context) error{d.Stop, r.Stop} {
			if err := stop(context.Background()); err != nil {
				w.Error(err)
			}
		}
	})
	return presenceNode{d, r}
}

// presenceReceiver keeps the last status that it got of each user. It can be down.
type presenceReceiver struct {
	mu    sync.Mutex
	down  bool
	state map[string]string // status, by group and user
	n     map[string]int64
	ids   map[string]bool
	wrong []string
}

func (r *presenceReceiver) Deliver(_ context.Context, _ hook.Hook, d hook.Delivery) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.down {
		return &hook.Refusal{Status: 500}
	}
	if r.state == nil {
		r.state, r.n, r.ids = map[string]string{}, map[string]int64{}, map[string]bool{}
	}
	if r.ids[d.ID] || len(d.Presence) == 0 || len(d.Presence) > hook.MaxEvents {
		r.wrong = append(r.wrong, fmt.Sprintf("delivery %s with %d changes", d.ID, len(d.Presence)))
	}
	r.ids[d.ID] = true
	for _, c := range d.Presence {
		key := c.GroupID + " " + c.UserID
		if c.N <= r.n[key] || c.GroupID != d.GroupID {
			r.wrong = append(r.wrong, fmt.Sprintf("%+v after %d", c, r.n[key]))
		}
		r.n[key], r.state[key] = c.N, string(c.Type)
	}
	return nil
}

func (r *presenceReceiver) set(down bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.down = down
}

func (r *presenceReceiver) knows(groupID, userID string, typ group.EventType) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.state[groupID+" "+userID] == string(typ)
}

// testPresenceDelivered reports changes to two nodes while their receiver is down, and
// checks what it gets when it is up again.
func testPresenceDelivered(w *world) {
	p := w.presences()
	p.chooses("a", "presence.*")
	g := p.group()
	r, m := &presenceReceiver{}, &members{online: map[string][]string{g: {"ana", "bo"}}}
	nodes := []presenceNode{p.presenceNode(r, m), p.presenceNode(r, m)}
	at := time.Now()
	see := func(node int, userID string, online bool) {
		at = at.Add(time.Millisecond)
		nodes[node].Saw(presence.Sighting{GroupID: g, UserID: userID, Online: online, At: at})
	}
	see(0, "ana", true)
	p.wait("ana is online", func() bool { return r.knows(g, "ana", hook.PresenceOnline) })
	r.set(true)
	see(0, "bo", true)
	p.wait("the delivery to the receiver that is down has failed", func() bool {
		var n int
		p.must(p.db.View(p.Context(), func(ctx context.Context, q database.Querier) error {
			return q.QueryRowContext(ctx, `SELECT COUNT(*) FROM hook_presence_groups WHERE attempts > 0`).Scan(&n)
		}))
		return n == 1
	})
	m.mu.Lock()
	m.online[g] = []string{"bo"}
	m.mu.Unlock()
	for i := range 11 {
		see(i%2, "ana", i%2 == 1)
	}
	see(1, "cy", true)
	see(0, "cy", false)
	r.set(false)
	p.must(p.world.store.Resume(p.Context(), p.hookID("a"), ""))
	p.wait("the receiver has all changes", func() bool {
		return r.knows(g, "ana", hook.PresenceOffline) && r.knows(g, "bo", hook.PresenceOnline) && r.knows(g, "cy", hook.PresenceOffline)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) > 0 {
		p.Error(r.wrong)
	}
}

func (p *presences) hookID(name string) string {
	p.Helper()
	hooks, err := p.world.store.Hooks(p.Context())
	p.must(err)
	for _, h := range hooks {
		if h.Name == name {
			return h.ID
		}
	}
	p.Fatalf("there is no hook %s", name)
	return ""
}

// testPresenceChecked checks that the periodic check finds changes that no node reported,
// because the node died or the presence store lost them.
func testPresenceChecked(w *world) {
	p := w.presences()
	h := p.chooses("a", "presence.*")
	g := p.group()
	p.saw(g, "+ana", "+bo", "+lately")
	p.want("delivered", p.sent(h), "ana online, bo online, lately online")
	p.saw(g, "-cy") // reported too late
	r := &presenceReceiver{}
	p.presenceNode(r, &members{online: map[string][]string{g: {"bo", "cy", "before"}}})
	p.wait("the receiver has all changes", func() bool {
		return r.knows(g, "ana", hook.PresenceOffline) && r.knows(g, "lately", hook.PresenceOffline)
	})
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.wrong) > 0 || r.state[g+" bo"] != "" || r.state[g+" before"] != "" {
		p.Error(r.wrong, r.state)
	}
}
