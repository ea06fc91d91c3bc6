package hook

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
)

const (
	// refreshEvery is the interval at which a node reads the hooks, so it learns of changes
	// on other nodes within this time.
	refreshEvery = time.Second
	// spreadEvery is the interval at which a node looks for events of other nodes. gather
	// is its wait after its own events, so that one look covers many.
	spreadEvery = time.Second
	gather      = 20 * time.Millisecond
	spreadBatch = 200
	// countEvery is the interval at which a node counts the backlog.
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

	presences         PresenceStore
	presenceFunctions map[string]PresenceFunc
	recorder          *Recorder
	present           Present
	checks            Checks

	metrics *metrics
	log     *slog.Logger
	tasks   *tasks.Group

	active   atomic.Bool   // there is at least one hook
	presence atomic.Bool   // at least one hook chose presence
	events   chan struct{} // this node has committed events
	changed  chan struct{} // this node has changed hooks

	mu      sync.Mutex
	runners map[runs]*runner
}

// runs identifies a runner: it sends the events of a hook, or presence.
type runs struct {
	hookID   string
	presence bool
}

// Backlogs counts the events and changes that are left to send.
type Backlogs interface {
	Backlog(ctx context.Context, hookID string) (Backlog, error)
}

// Deps holds the dependencies of a [Dispatcher].
type Deps struct {
	Definitions Definitions
	Positions   Positions
	Spreader    Spreader
	Backlogs    Backlogs
	Sender      Destination
	Functions   map[string]Func // the program's functions, by the name of the hook
	Listed      []Listed        // hooks in the configuration

	Presences         PresenceStore
	PresenceFunctions map[string]PresenceFunc // the program's functions, by the name of the hook
	Recorder          *Recorder
	Present           Present
	Checks            Checks

	Log *slog.Logger
}

// NewDispatcher returns a dispatcher.
func NewDispatcher(deps Deps) *Dispatcher {
	return &Dispatcher{
		definitions: deps.Definitions, positions: deps.Positions, spreader: deps.Spreader, backlog: deps.Backlogs,
		sender: deps.Sender, functions: deps.Functions, listed: deps.Listed, metrics: newMetrics(), log: deps.Log, tasks: tasks.New(),
		presences: deps.Presences, presenceFunctions: deps.PresenceFunctions, recorder: deps.Recorder, present: deps.Present, checks: deps.Checks.withDefaults(),
		events: make(chan struct{}, 1), changed: make(chan struct{}, 1), runners: make(map[runs]*runner),
	}
}

// Start stores the hooks of the configuration and of the program, and begins to send.
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
	d.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, time.Hour, d.recorder.wrote, d.wakeAll)
	})
	d.tasks.Run(d.check)
	return nil
}

// Stop stops sending. Running deliveries get a moment to finish.
func (d *Dispatcher) Stop(ctx context.Context) error {
	err := d.tasks.Stop(ctx)
	d.mu.Lock()
	runners := d.runners
	d.runners = make(map[runs]*runner)
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

// Announced tells the dispatcher that this node has committed events. It does not block.
func (d *Dispatcher) Announced() {
	if d.active.Load() {
		tasks.Wake(d.events)
	}
}

// Changed tells the dispatcher that this node has changed hooks. It does not block.
func (d *Dispatcher) Changed() { tasks.Wake(d.changed) }

// refresh reads the hooks and updates the runners.
func (d *Dispatcher) refresh(ctx context.Context) error {
	hooks, err := d.definitions.Hooks(ctx)
	if err != nil {
		return err
	}
	presence := slices.ContainsFunc(hooks, func(h Hook) bool { return WantsPresence(h.Events) })
	d.presence.Store(presence)
	d.recorder.want(presence)
	gone := d.keepRunners(hooks)
	first := d.active.Swap(len(hooks) > 0)
	if !first && len(hooks) > 0 {
		tasks.Wake(d.events)
	}
	for of, r := range gone {
		if err := r.stop(ctx); err != nil {
			return err
		}
		if !of.presence {
			d.metrics.forget(r.hook.Load().Name)
		}
	}
	return nil
}

// keepRunners starts and updates runners for the hooks. It returns the runners to stop.
func (d *Dispatcher) keepRunners(hooks []Hook) (gone map[runs]*runner) {
	d.mu.Lock()
	defer d.mu.Unlock()
	gone = d.runners
	d.runners = make(map[runs]*runner, len(gone))
	keep := func(of runs, h Hook, to Destination) {
		r := gone[of]
		delete(gone, of)
		switch {
		case r != nil:
			was := r.hook.Swap(&h)
			if h.Enabled && (!was.Enabled || was.URL != h.URL) {
				tasks.Wake(r.wake)
			}
		case to == nil:
			return
		case of.presence:
			r = d.newRunner(h, to, d.presences)
		default:
			r = d.newRunner(h, to, d.positions)
		}
		d.runners[of] = r
	}
	for _, h := range hooks {
		keep(runs{h.ID, false}, h, d.destination(h))
		if WantsPresence(h.Events) {
			keep(runs{h.ID, true}, h, d.presenceDestination(h))
		}
	}
	return gone
}

// destination returns where this node sends the events of a hook, or nil if it cannot.
func (d *Dispatcher) destination(h Hook) Destination {
	if h.URL != "" {
		return d.sender
	}
	if fn := d.functions[h.Name]; fn != nil {
		return fn
	}
	if d.presenceFunctions[h.Name] != nil {
		return Func(ignored)
	}
	return nil
}

// presenceDestination returns where this node sends presence, or nil if it cannot.
func (d *Dispatcher) presenceDestination(h Hook) Destination {
	if h.URL != "" {
		return d.sender
	}
	if fn := d.presenceFunctions[h.Name]; fn != nil {
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

// sweep continues replays of all groups.
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

// count updates the metrics of the backlog.
func (d *Dispatcher) count(ctx context.Context) {
	d.mu.Lock()
	hooks := make([]Hook, 0, len(d.runners))
	for of, r := range d.runners {
		if !of.presence {
			hooks = append(hooks, *r.hook.Load())
		}
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

// Watch returns an announcer that calls a and the dispatcher.
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
