package console

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
)

// groupHead is the data at the top of every page of a group.
type groupHead struct {
	Group group.Group
	Tab   string // last part of the page's path
}

func (h groupHead) heading() string { return h.Group.Name }

// head reads the data for groupHead.
func (c *Console) head(ctx context.Context, v visit, tab string) (groupHead, error) {
	g, err := c.deps.Groups.Get(ctx, v.caller, groupOf(v))
	return groupHead{Group: g, Tab: tab}, err
}

func groupOf(v visit) string { return v.g.Param("groupId") }

// groupPage is the data of the view Group.
type groupPage struct {
	formPage
	groupHead
	Revision               string // revision that the edit form belongs to
	Capacity, ReadReceipts string
	Attributes             string
	EndsAt, RemindBefore   string
	Schedule               []moment // next reminders and the end
}

// moment is an entry of a group's schedule.
type moment struct {
	At   time.Time
	What string
}

// group shows a group's record.
func (c *Console) group(ctx context.Context, v visit) (any, error) {
	head, err := c.head(ctx, v, "")
	if err != nil {
		return nil, err
	}
	g := head.Group
	page := groupPage{
		formPage: v.forms(), groupHead: head, ReadReceipts: yesNo(g.ReadReceipts),
		Attributes: indented(g.Attributes), EndsAt: stamp(g.EndsAt), RemindBefore: joined(g.RemindBefore), Schedule: upcoming(g, time.Now()),
	}
	page.Revision = strconv.FormatInt(g.Revision, 10)
	if !page.Conflict("edit") { // after a conflict, the form applies to the record that the page shows now
		page.Revision = page.Typed("edit", "revision", page.Revision)
	}
	if g.Capacity != nil {
		page.Capacity = strconv.Itoa(*g.Capacity)
	}
	return page, nil
}

// upcoming returns the reminders and the end after now.
func upcoming(g group.Group, now time.Time) (next []moment) {
	for at := g.NextTimer(now); at != nil && at.After(now); at = g.NextTimer(*at) {
		if at.Equal(*g.EndsAt) {
			return append(next, moment{*at, "the group ends"})
		}
		next = append(next, moment{*at, "reminder, " + g.EndsAt.Sub(*at).String() + " before the end"})
	}
	return next
}

// editGroup saves the record. It fails if the record has changed since the page was opened.
func (c *Console) editGroup(ctx context.Context, v visit) (outcome, error) {
	g, err := c.deps.Groups.Get(ctx, v.caller, groupOf(v))
	if err != nil {
		return outcome{}, err
	}
	revision, err := strconv.ParseInt(v.sent("revision"), 10, 64)
	if err != nil {
		return outcome{}, mistake("revision", "is damaged: open the page again")
	}
	var req dto.UpdateRequest // stays empty if the record has changed; the service then refuses it
	if revision == g.Revision {
		if req, err = edited(g, v); err != nil {
			return outcome{}, err
		}
	}
	_, err = c.deps.Groups.Update(ctx, v.caller, g.ID, &revision, req)
	return outcome{notice: "saved"}, err
}

// edited returns the request that changes g to the values in the form.
func edited(g group.Group, v visit) (req dto.UpdateRequest, err error) {
	text := func(field string) *string {
		value := v.sent(field)
		return &value
	}
	req.Name, req.Description = text("name"), text("description")
	req.Visibility, req.JoinPolicy, req.Posting = text("visibility"), text("joinPolicy"), text("posting")
	receipts := v.sent("readReceipts") == yesNo(true)
	req.ReadReceipts = &receipts
	if capacity := strings.TrimSpace(v.sent("capacity")); capacity == "" {
		req.RemoveCapacity = true
	} else if n, err := strconv.Atoi(capacity); err == nil {
		req.Capacity = &n
	} else {
		return req, mistake("capacity", "must be a whole number, or empty")
	}
	if req.Attributes, err = difference("attributes", g.Attributes, v.sent("attributes")); err != nil {
		return req, err
	}
	reminders := []int{}
	for _, word := range strings.FieldsFunc(v.sent("remindBefore"), func(r rune) bool { return r == ',' || r == ' ' }) {
		n, err := strconv.Atoi(word)
		if err != nil {
			return req, mistake("remindBefore", "must be seconds, as 3600, 60")
		}
		reminders = append(reminders, n)
	}
	if joined(reminders) != joined(g.RemindBefore) {
		req.RemindBefore = &reminders
	}
	endsAt, err := instant("endsAt", v.sent("endsAt"))
	switch {
	case err != nil:
		return req, err
	case endsAt.IsZero():
		req.RemoveEnd = g.EndsAt != nil
	case stamp(g.EndsAt) != stamp(&endsAt): // the field has no fractions of a second
		req.EndsAt = &endsAt
	}
	return req, nil
}

// soon is the time until the end of a group that should end now, because an end must be in
// the future.
const soon = 2 * time.Second

func (c *Console) endGroup(ctx context.Context, v visit) (outcome, error) {
	at := time.Now().Add(soon)
	_, err := c.deps.Groups.Update(ctx, v.caller, groupOf(v), nil, dto.UpdateRequest{EndsAt: &at})
	return outcome{notice: "ending"}, err
}

// extendGroup moves the end. A group that has ended becomes active again.
func (c *Console) extendGroup(ctx context.Context, v visit) (outcome, error) {
	by, err := time.ParseDuration(v.sent("by"))
	if err != nil || by <= 0 {
		return outcome{}, mistake("by", "must be a duration, as 1h30m")
	}
	g, err := c.deps.Groups.Get(ctx, v.caller, groupOf(v))
	if err != nil {
		return outcome{}, err
	}
	from := time.Now()
	if g.EndsAt != nil && g.EndsAt.After(from) {
		from = *g.EndsAt
	}
	at := from.Add(by)
	_, err = c.deps.Groups.Update(ctx, v.caller, g.ID, &g.Revision, dto.UpdateRequest{EndsAt: &at})
	return outcome{notice: "saved"}, err
}

// deleteGroup deletes a group after the user has typed its name or id.
func (c *Console) deleteGroup(ctx context.Context, v visit) (outcome, error) {
	id := groupOf(v)
	g, err := c.deps.Groups.Get(ctx, v.caller, id)
	if err != nil && fault.From(err).Kind != fault.NotFound { // this form may have deleted it already
		return outcome{}, err
	}
	if typed := strings.TrimSpace(v.sent("confirm")); err == nil && typed != g.ID && typed != strings.TrimSpace(g.Name) {
		return outcome{}, mistake("confirm", "must be the name or the id of the group")
	}
	return outcome{to: "../groups", notice: "deleted"}, c.deps.Groups.Delete(ctx, v.caller, id, nil)
}
