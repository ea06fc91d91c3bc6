package group

import (
	"context"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/group/dto"
)

// TimerTx is the part of a [Tx] that reads and sets the group's timer. Records.Create sets
// it to [Group.NextTimer].
type TimerTx interface {
	// Due returns when the group's timer was due, if it is due by the database's clock.
	Due() (at time.Time, due bool)
	// Schedule sets the next time; nil for none.
	Schedule(ctx context.Context, next *time.Time) error
}

// NextTimer returns the time of the next reminder, or of the end, after the given time. It
// returns nil if there is none.
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

// goesOn returns ErrGroupEnded if the group has ended and does not allow the action.
// [Service.Update] checks its own patch, because it may move the end.
func goesOn(a action, g Group) error {
	if g.EndedAt == nil || a == actLeave || a == actDelete || a == actUpdate {
		return nil
	}
	return ErrGroupEnded
}

// reschedule applies the end and the reminders of a patch. If the end of an ended group is
// moved, the group becomes active again.
func reschedule(g *Group, req dto.UpdateRequest, changes map[string]any) {
	switch {
	case req.RemoveEnd && g.EndsAt != nil:
		g.EndsAt = nil
		changes["endsAt"] = nil
	case req.EndsAt != nil && (g.EndsAt == nil || !g.EndsAt.Equal(*req.EndsAt)):
		g.EndsAt = req.EndsAt
		changes["endsAt"] = *g.EndsAt
	}
	if g.EndedAt != nil && rescheduled(changes) {
		g.EndedAt = nil
		changes["endedAt"] = nil
	}
	if req.RemindBefore != nil && !slices.Equal(*req.RemindBefore, g.RemindBefore) {
		g.RemindBefore = *req.RemindBefore
		changes["remindBefore"] = *req.RemindBefore
	}
}

// rescheduled reports whether changes affect the group's timer.
func rescheduled(changes map[string]any) bool {
	_, end := changes["endsAt"]
	_, reminders := changes["remindBefore"]
	return end || reminders
}

// reminder is the data of group.reminder.
type reminder struct {
	SecondsLeft int `json:"secondsLeft"`
}

// FireTimer sends a reminder or ends the group, if its timer is due. It does so once, even
// if several nodes try. Reminders that were missed while no node was running are sent late,
// each with the seconds that are left then.
func (s *Service) FireTimer(ctx context.Context, groupID string) error {
	events, err := s.repo.Change(ctx, groupID, "", func(tx Tx) error {
		at, due := tx.Due()
		if !due {
			return nil
		}
		g := tx.Group()
		if g.EndsAt == nil || g.EndedAt != nil {
			return tx.Schedule(ctx, nil)
		}
		if at.Before(*g.EndsAt) {
			left := secondsLeft(g.EndsAt.Sub(s.now()))
			if _, err := tx.Append(ctx, GroupReminder, "", reminder{SecondsLeft: left}); err != nil {
				return err
			}
			return tx.Schedule(ctx, g.NextTimer(at))
		}
		return s.end(ctx, tx)
	})
	if err == nil && len(events) > 0 {
		s.announcer.Announce(ctx, events)
	}
	return err
}

// secondsLeft rounds to whole seconds. It returns 0 only if nothing is left.
func secondsLeft(left time.Duration) int {
	if left <= 0 {
		return 0
	}
	return max(1, int(left.Round(time.Second)/time.Second))
}

// end ends the group. It must not have ended yet.
func (s *Service) end(ctx context.Context, tx Tx) error {
	g, now := tx.Group(), s.instant()
	g.EndedAt, g.UpdatedAt = &now, now
	if err := tx.SetGroup(ctx, g); err != nil {
		return err
	}
	if err := tx.SetOffered(ctx, ""); err != nil {
		return err
	}
	if _, err := tx.Append(ctx, GroupEnded, "", struct{}{}); err != nil {
		return err
	}
	return tx.Schedule(ctx, nil)
}
