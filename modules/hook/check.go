package hook

import (
	"context"
	"time"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/group"
)

const (
	// checkEvery is the interval at which the presence that hooks were told is compared
	// with the real presence of a group. lookForChecks is the interval at which a node
	// looks for groups to compare.
	checkEvery    = time.Minute
	lookForChecks = 5 * time.Second
	checkBatch    = 200
)

// Present lists presence. presence.Tracker implements it.
type Present interface {
	// List returns who is present in a group, and who was until lately.
	List(ctx context.Context, groupID string) ([]group.Present, error)
	// Report reports all users with sockets on this node to the observer.
	Report()
}

// Checks holds the intervals of presence checks. The zero value is for production.
type Checks struct {
	After time.Duration // the first check after the start: users come back to a restarted node
	Every time.Duration // interval for each group
	Look  time.Duration // interval at which a node looks for groups
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

// check compares the presence that hooks were told with the real presence, until ctx ends.
// They differ if a node died before it recorded a change, or if the presence store lost
// one.
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

// checkGroup records corrections for a group. A change that is recorded meanwhile is later
// than these reports, so it stays.
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
