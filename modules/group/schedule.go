package group

import (
	"context"
	"slices"
	"time"
)

const (
	maxReminders = 10
	maxReminder  = 30 * 24 * 3600 // seconds before endsAt
	maxAhead     = 100 * 365 * 24 * time.Hour

	// timerEvery is how often a node looks for timers that are due: they fire
	// within a second. timerBatch is how many it reads at once, timersAtOnce how
	// many it fires at once.
	timerEvery   = 500 * time.Millisecond
	timerBatch   = 100
	timersAtOnce = 16
)

// NextTimer returns the next instant after the given one at which the group's
// timer is due: for a reminder or the end; nil when there is none.
func (g Group) NextTimer(after time.Time) *time.Time {
	if g.EndsAt == nil || g.EndedAt != nil {
		return nil
	}
	next := *g.EndsAt
	for _, seconds := range g.RemindBefore {
		at := g.EndsAt.Add(-time.Duration(seconds) * time.Second)
		if at.After(after) && at.Before(next) {
			next = at
		}
	}
	return &next
}

// goesOn returns ErrGroupEnded for what cannot be done in a group that has
// ended. Moving its end is looked at where the patch is.
func goesOn(a action, g Group) error {
	if g.EndedAt == nil || a == actLeave || a == actDelete || a == actUpdate {
		return nil
	}
	return ErrGroupEnded
}

// reschedule applies a patch's end and reminders. A group whose end is moved
// goes on.
func (r UpdateRequest) reschedule(g *Group, changes map[string]any) {
	switch {
	case r.RemoveEnd && g.EndsAt != nil:
		g.EndsAt = nil
		changes["endsAt"] = nil
	case r.EndsAt != nil && (g.EndsAt == nil || !g.EndsAt.Equal(*normalEnd(r.EndsAt))):
		g.EndsAt = normalEnd(r.EndsAt)
		changes["endsAt"] = *g.EndsAt
	}
	if g.EndedAt != nil && rescheduled(changes) {
		g.EndedAt = nil
		changes["endedAt"] = nil
	}
	if r.RemindBefore == nil {
		return
	}
	if reminders := normalReminders(*r.RemindBefore); !slices.Equal(reminders, g.RemindBefore) {
		g.RemindBefore = reminders
		changes["remindBefore"] = reminders
	}
}

// rescheduled reports whether changes move the group's clock.
func rescheduled(changes map[string]any) bool {
	_, end := changes["endsAt"]
	_, reminders := changes["remindBefore"]
	return end || reminders
}

// normalEnd returns the instant as it is stored.
func normalEnd(at *time.Time) *time.Time {
	if at == nil {
		return nil
	}
	t := at.UTC().Truncate(time.Microsecond)
	return &t
}

// normalReminders returns them as they are stored: the earliest first, each
// once.
func normalReminders(seconds []int) []int {
	if len(seconds) == 0 {
		return nil
	}
	sorted := slices.Clone(seconds)
	slices.SortFunc(sorted, func(a, b int) int { return b - a })
	return slices.Compact(sorted)
}

func (m *mistakes) schedule(endsAt *time.Time, reminders []int, now time.Time) {
	if endsAt != nil && (!endsAt.After(now) || endsAt.After(now.Add(maxAhead))) {
		m.add("endsAt", "must lie in the future, at most a hundred years")
	}
	if len(reminders) > maxReminders {
		m.add("remindBefore", "must have at most %d entries", maxReminders)
	}
	for _, seconds := range reminders {
		if seconds < 1 || seconds > maxReminder {
			m.add("remindBefore", "must be between 1 and %d seconds", maxReminder)
		}
	}
}

// reminder is the data of group.reminder.
type reminder struct {
	SecondsLeft int `json:"secondsLeft"`
}

// FireTimer does what a group's timer is for, if it is due: once, however
// many nodes try. What was missed while no node ran is made up for, each
// reminder with the seconds that are left now.
func (s *Service) FireTimer(ctx context.Context, groupID string) error {
	events, err := s.repo.Change(ctx, groupID, func(tx Tx) error {
		at, due := tx.Due()
		if !due {
			return nil
		}
		g := tx.Group()
		if g.EndsAt == nil || g.EndedAt != nil {
			return tx.Schedule(ctx, nil)
		}
		if at.Before(*g.EndsAt) {
			left := max(0, int(g.EndsAt.Sub(s.now()).Round(time.Second).Seconds()))
			if _, err := tx.Append(ctx, GroupReminder, "", reminder{SecondsLeft: left}); err != nil {
				return err
			}
			return tx.Schedule(ctx, g.NextTimer(at))
		}
		now := s.instant()
		g.EndedAt, g.UpdatedAt = &now, now
		if err := tx.SetGroup(ctx, g); err != nil {
			return err
		}
		if _, err := tx.Append(ctx, GroupEnded, "", struct{}{}); err != nil {
			return err
		}
		return tx.Schedule(ctx, nil)
	})
	if err == nil && len(events) > 0 {
		s.announcer.Announce(events)
	}
	return err
}
