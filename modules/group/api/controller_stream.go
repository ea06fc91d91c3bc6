package api

import (
	"context"
	"net/http"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/web"
)

type eventsInput struct {
	OneGroup
	Since int64 `query:"since" minimum:"0" default:"0" doc:"version of the last event that the caller has"`
	Limit int   `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"maximum number of events; an answer with large events ends earlier, at 256 KiB"`
}

type messageInput struct {
	OneGroup
	Once
	Sent[dto.MessageRequest]
}

type signalInput struct {
	OneGroup
	Once
	Sent[dto.SignalRequest]
}

type readInput struct {
	OneGroup
	Sent[dto.ReadRequest]
}

// EventPage is a part of a group's log.
type EventPage struct {
	Items   []group.Event `json:"items"`
	Version int64         `json:"version" doc:"version up to which this answer is complete; pass it as since to read on"`
}

// Accepted is the answer {} for what was sent on but not stored.
type Accepted struct{}

func (c *Controller) registerStream() {
	register(c, operation(http.MethodGet, "/groups/{groupId}/events", "list-events",
		"List events after a version", http.StatusOK,
		hidden, outside, "410 log_truncated", "422 validation_failed"), c.events)
	register(c, operation(http.MethodPost, "/groups/{groupId}/messages", "post-message",
		"Post a message, which becomes an event", http.StatusCreated, hidden, silenced, "403 refused", "409 group_ended"), c.post)
	register(c, operation(http.MethodPut, "/groups/{groupId}/read", "mark-read",
		"Move the caller's read mark forward", http.StatusNoContent, hidden, notEnough), c.read)
	register(c, operation(http.MethodPost, "/groups/{groupId}/signals", "send-signal",
		"Send a signal to subscribers; it is not stored", http.StatusAccepted, hidden, silenced, "403 refused", "409 group_ended"), c.signal)
	register(c, operation(http.MethodGet, "/groups/{groupId}/presence", "get-presence",
		"List who is online or reconnecting, and who was lately", http.StatusOK,
		hidden, outside, "422 validation_failed"), c.presence)
}

func (c *Controller) events(ctx context.Context, in *eventsInput) (*Answer[EventPage], error) {
	items, version, err := c.service.Events(ctx, web.Caller(ctx), in.GroupID, in.Since, in.Limit)
	return answer(EventPage{Items: items, Version: version}, err)
}

func (c *Controller) post(ctx context.Context, in *messageInput) (*Answer[group.Event], error) {
	return answer(c.service.Post(in.once(ctx), web.Caller(ctx), in.GroupID, in.Body))
}

func (c *Controller) read(ctx context.Context, in *readInput) (*Nothing, error) {
	return nothing(c.service.MarkRead(ctx, web.Caller(ctx), in.GroupID, in.Body))
}

func (c *Controller) signal(ctx context.Context, in *signalInput) (*Answer[Accepted], error) {
	return answer(Accepted{}, c.service.Signal(in.once(ctx), web.Caller(ctx), in.GroupID, group.SignalSource{}, in.Body))
}

func (c *Controller) presence(ctx context.Context, in *membersInput) (*Answer[web.Page[group.Present]], error) {
	return list(c, "presence of "+in.GroupID, in.Paging, group.Present.Place, func(after string, limit int) ([]group.Present, error) {
		return c.service.Presence(ctx, web.Caller(ctx), in.GroupID, after, limit)
	})
}
