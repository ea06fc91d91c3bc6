package hook

import (
	"context"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
)

const (
	// checkEvery is how often what hooks were told of a group is compared with who is
	// present, and lookForChecks how often a node looks for such groups.
	checkEvery    = time.Minute
	lookForChecks = 5 * time.Second
	checkBatch    = 200
)

// Present knows who is present. A presence.Tracker implements it.
type Present interface {
	// List returns who is present in a group, or lately was.
	List(ctx context.Context, groupID string) ([]group.Present, error)
	// Report reports all users with sockets on this node to the observer.
	Report()
}

// Checks says when presence is checked. The zero value is for production.
type Checks struct {
	After time.Duration // the first time after the start: users return to a node that was restarted
	Every time.Duration // for a group
	Look  time.Duration // how often a node looks for groups
}

func (c Checks) withDefaults() Checks {
	if c.Every == 0 {
		c.Every = checkEvery
	}
	if c.Look == 0 {
		c.Look = lookForChecks
	}
	return c
}

// check compares what hooks were told with who is present, until ctx ends. A change is
// not recorded if its node died at that moment, or the presence store lost it.
func (d *Dispatcher) check(ctx context.Context) {
	if !tasks.Pause(ctx, d.checks.After) {
		return
	}
	tasks.Every(ctx, d.checks.Look, nil, func() {
		if !d.presence.Load() {
			return
		}
		if d.recorder.takeLost() {
			d.present.Report()
		}
		for ctx.Err() == nil {
			ids, err := d.presences.Check(ctx, checkBatch, d.checks.Every)
			for _, id := range ids {
				if err == nil {
					err = d.checkGroup(ctx, id)
				}
			}
			if err != nil {
				d.log.DebugContext(ctx, "hook: cannot check presence", "err", err)
			}
			if err != nil || len(ids) < checkBatch {
				return
			}
		}
	})
}

// checkGroup records what hooks were wrongly told, or not told. What was recorded
// meanwhile is later than these reports, and stays.
func (d *Dispatcher) checkGroup(ctx context.Context, groupID string) error {
	told, err := d.presences.Told(ctx, groupID)
	if err != nil || len(told) == 0 {
		return err
	}
	present, err := d.present.List(ctx, groupID)
	if err != nil {
		return err
	}
	online := make(map[string]bool, len(present))
	for _, p := range present {
		online[p.UserID] = p.Status != group.StatusOffline
	}
	now := time.Now()
	wrong := told[:0]
	for _, report := range told {
		if is := online[report.UserID]; is != report.Online {
			report.Online, report.At = is, now
			wrong = append(wrong, report)
		}
	}
	for len(wrong) > 0 {
		n := min(len(wrong), recordBatch)
		changes, err := d.presences.Record(ctx, wrong[:n])
		if err != nil {
			return err
		}
		if changes > 0 {
			d.wakeAll()
		}
		wrong = wrong[n:]
	}
	return nil
}
