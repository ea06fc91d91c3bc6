package console

import (
	"context"
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/moim-live/moim/modules/group"
)

const (
	// logStep is the number of events that are read at a time.
	logStep = 50
	// maxSearched is the maximum number of events that one page searches with a filter.
	maxSearched = 500
	// maxShort is the maximum number of characters of an event's data in a table.
	maxShort = 120
)

// logPage is the data of the view Log.
type logPage struct {
	groupHead
	Type, Actor, Version string
	Events               table[loggedEvent]
	From                 int64 // oldest version that was searched
	Cut                  bool  // the log does not reach back further
}

// loggedEvent is an event with its data as text.
type loggedEvent struct {
	group.Event
	By    string
	Short string
	JSON  string
}

// log shows the events of a group, newest first, from a given version.
func (c *Console) log(ctx context.Context, v visit) (any, error) {
	head, err := c.head(ctx, v, "log")
	if err != nil {
		return nil, err
	}
	page := logPage{groupHead: head, Type: v.query("type"), Actor: v.g.Query("actor"), Version: v.query("version")}
	last := head.Group.Version
	if page.Version != "" {
		n, err := strconv.ParseInt(page.Version, 10, 64)
		if err != nil || n < 1 {
			return nil, mistake("version", "must be a version, as 12")
		}
		last = min(last, n)
		page.Events.First = link(v, "version", "")
	}
	page.From = last + 1
	for step := int64(logStep); page.From > 1 && last-page.From+1 < maxSearched && len(page.Events.Rows) <= pageSize; {
		since := max(0, page.From-1-step)
		events, err := c.eventsBetween(ctx, v, head.Group.ID, since, page.From-1)
		if errors.Is(err, group.ErrLogTruncated) {
			if step == 1 {
				page.Cut = true
				break
			}
			step /= 2
			continue
		}
		if err != nil {
			return nil, err
		}
		for _, e := range slices.Backward(events) {
			if row := logged(e); page.shows(row) {
				page.Events.Rows = append(page.Events.Rows, row)
			}
		}
		page.From = since + 1
	}
	if fit := group.Fit(page.Events.Rows, pageSize); fit < len(page.Events.Rows) {
		page.Events.Rows = page.Events.Rows[:fit]
		page.From, page.Cut = page.Events.Rows[fit-1].Version, false
	}
	if page.From > 1 && !page.Cut {
		page.Events.Next = link(v, "version", strconv.FormatInt(page.From-1, 10))
	}
	return page, nil
}

// eventsBetween returns the events after since, up to last.
func (c *Console) eventsBetween(ctx context.Context, v visit, groupID string, since, last int64) ([]group.Event, error) {
	var all []group.Event
	for since < last {
		events, _, err := c.deps.Groups.Events(ctx, v.caller, groupID, since, int(last-since))
		if err != nil || len(events) == 0 {
			return all, err
		}
		all = append(all, events...)
		since = events[len(events)-1].Version
	}
	return all, nil
}

// shows reports whether the filter matches an event. The type "member" matches
// member.joined, member.left and so on.
func (p logPage) shows(e loggedEvent) bool {
	typ := string(e.Type)
	return (p.Type == "" || typ == p.Type || strings.HasPrefix(typ, p.Type+".")) && (p.Actor == "" || e.By == p.Actor)
}

func logged(e group.Event) loggedEvent {
	row := loggedEvent{Event: e, Short: string(e.Data), JSON: indented(e.Data)}
	if e.Actor != nil {
		row.By = *e.Actor
	}
	if runes := []rune(row.Short); len(runes) > maxShort {
		row.Short = string(runes[:maxShort]) + "…"
	}
	return row
}
