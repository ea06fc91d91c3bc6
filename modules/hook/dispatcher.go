package hook

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
)

const (
	// refreshEvery is how often a node reads the hooks: what other nodes changed is known
	// after that.
	refreshEvery = time.Second
	// spreadEvery is how often a node looks for marks of other nodes' events, and gather how
	// long it waits after its own, so that one look finds those of many.
	spreadEvery = time.Second
	gather      = 20 * time.Millisecond
	spreadBatch = 200
	// countEvery is how often a node counts what is left to be sent.
	countEvery = 15 * time.Second
)

// Dispatcher sends events to all hooks. Every node has one.
type Dispatcher struct {
	definitions Definitions
	positions   Positions
	spreader    Spreader
	backlog     Backlogs
	sender      Destination
	functions   map[string]Func
	listed      []Listed
	metrics     *metrics
	log         *slog.Logger
	tasks       *tasks.Group

	active  atomic.Bool   // there are hooks
	events  chan struct{} // this node has committed events
	changed chan struct{} // this node has changed hooks

	mu      sync.Mutex
	runners map[string]*runner // by the hook's id
}

// Backlogs counts what is left to be sent.
type Backlogs interface {
	Backlog(ctx context.Context, hookID string) (Backlog, error)
}

// Deps is what a [Dispatcher] works with.
type Deps struct {
	Definitions Definitions
	Positions   Positions
	Spreader    Spreader
	Backlogs    Backlogs
	Sender      Destination
	Functions   map[string]Func // of the program, by the name of their hook
	Listed      []Listed        // in the configuration
	Log         *slog.Logger
}

// NewDispatcher returns a dispatcher.
func NewDispatcher(deps Deps) *Dispatcher {
	return &Dispatcher{
		definitions: deps.Definitions, positions: deps.Positions, spreader: deps.Spreader, backlog: deps.Backlogs,
		sender: deps.Sender, functions: deps.Functions, listed: deps.Listed, metrics: newMetrics(), log: deps.Log, tasks: tasks.New(),
		events: make(chan struct{}, 1), changed: make(chan struct{}, 1), runners: make(map[string]*runner),
	}
}

// Start stores the hooks of the configuration and the program, and begins to send.
func (d *Dispatcher) Start(ctx context.Context) error {
	if err := d.register(ctx); err != nil {
		return err
	}
	if err := d.refresh(ctx); err != nil {
		return err
	}
	d.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, refreshEvery, d.changed, func() {
			if err := d.refresh(ctx); err != nil {
				d.log.DebugContext(ctx, "hook: cannot read the hooks", "err", err)
			}
		})
	})
	d.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, spreadEvery, d.events, func() { d.spread(ctx) })
	})
	d.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, spreadEvery, nil, func() { d.sweep(ctx) })
	})
	d.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, countEvery, nil, func() { d.count(ctx) })
	})
	return nil
}

// Stop ends it. Deliveries that are under way have a moment to end.
func (d *Dispatcher) Stop(ctx context.Context) error {
	err := d.tasks.Stop(ctx)
	d.mu.Lock()
	runners := d.runners
	d.runners = make(map[string]*runner)
	d.mu.Unlock()
	var stopping sync.WaitGroup
	errs := make(chan error, len(runners))
	for _, r := range runners {
		stopping.Go(func() { errs <- r.stop(ctx) })
	}
	stopping.Wait()
	close(errs)
	for e := range errs {
		err = errors.Join(err, e)
	}
	return err
}

// Announced tells the dispatcher that this node has committed events. It does not wait.
func (d *Dispatcher) Announced() {
	if d.active.Load() {
		tasks.Wake(d.events)
	}
}

// Changed tells the dispatcher that this node has changed hooks. It does not wait.
func (d *Dispatcher) Changed() { tasks.Wake(d.changed) }

// refresh makes the runners those of the hooks.
func (d *Dispatcher) refresh(ctx context.Context) error {
	hooks, err := d.definitions.Hooks(ctx)
	if err != nil {
		return err
	}
	d.mu.Lock()
	gone := make(map[string]*runner, len(d.runners))
	for id, r := range d.runners {
		gone[id] = r
	}
	for _, h := range hooks {
		delete(gone, h.ID)
		if r := d.runners[h.ID]; r != nil {
			was := r.hook.Swap(&h)
			if h.Enabled && (!was.Enabled || was.URL != h.URL) {
				tasks.Wake(r.wake)
			}
			continue
		}
		if to := d.destination(h); to != nil {
			d.runners[h.ID] = d.newRunner(h, to)
		}
	}
	for id := range gone {
		delete(d.runners, id)
	}
	d.mu.Unlock()
	first := d.active.Swap(len(hooks) > 0)
	if !first && len(hooks) > 0 {
		tasks.Wake(d.events)
	}
	for _, r := range gone {
		if err := r.stop(ctx); err != nil {
			return err
		}
		d.metrics.forget(r.hook.Load().Name)
	}
	return nil
}

// destination returns where a hook goes from this node, nil for nowhere.
func (d *Dispatcher) destination(h Hook) Destination {
	if h.URL != "" {
		return d.sender
	}
	if fn := d.functions[h.Name]; fn != nil {
		return fn
	}
	return nil
}

// spread takes the marks of events and wakes the runners.
func (d *Dispatcher) spread(ctx context.Context) {
	if !d.active.Load() {
		return
	}
	for ctx.Err() == nil {
		taken, err := d.spreader.Spread(ctx, spreadBatch)
		if err != nil {
			d.log.DebugContext(ctx, "hook: cannot look for events", "err", err)
		}
		if taken > 0 {
			d.wakeAll()
		}
		if err != nil || taken < spreadBatch {
			break
		}
	}
	tasks.Pause(ctx, gather)
}

// sweep goes on with replays of all groups.
func (d *Dispatcher) sweep(ctx context.Context) {
	for ctx.Err() == nil {
		more, err := d.spreader.Sweep(ctx)
		if err != nil {
			d.log.DebugContext(ctx, "hook: cannot go on with a replay", "err", err)
		}
		if err != nil || !more {
			return
		}
		d.wakeAll()
	}
}

func (d *Dispatcher) wakeAll() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, r := range d.runners {
		tasks.Wake(r.wake)
	}
}

// count shows what is left to be sent.
func (d *Dispatcher) count(ctx context.Context) {
	d.mu.Lock()
	hooks := make([]Hook, 0, len(d.runners))
	for _, r := range d.runners {
		hooks = append(hooks, *r.hook.Load())
	}
	d.mu.Unlock()
	for _, h := range hooks {
		b, err := d.backlog.Backlog(ctx, h.ID)
		if err != nil {
			return
		}
		d.metrics.count(h.Name, b)
	}
}

// Watch returns an announcer that also tells the dispatcher.
func (d *Dispatcher) Watch(a group.Announcer) group.Announcer { return watching{a, d} }

type watching struct {
	group.Announcer
	d *Dispatcher
}

// Announce implements [group.Announcer].
func (w watching) Announce(ctx context.Context, events []group.Event) {
	w.d.Announced()
	w.Announcer.Announce(ctx, events)
}
