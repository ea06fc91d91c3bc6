package api

import (
	"context"
	"net/http"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/web"
)

type eventsInput struct {
	OneGroup
	Since int64 `query:"since" minimum:"0" default:"0" doc:"the last version that is known"`
	Limit int   `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"events at most"`
}

type messageInput struct {
	OneGroup
	Once
	Sent[group.MessageRequest]
}

type signalInput struct {
	OneGroup
	Once
	Sent[group.SignalRequest]
}

type readInput struct {
	OneGroup
	Sent[group.ReadRequest]
}

// EventPage is a part of a group's log.
type EventPage struct {
	Items   []group.Event `json:"items"`
	Version int64         `json:"version" doc:"the last version that this answer covers: ask for more since it"`
}

// Accepted is the answer {} to what was sent on and not stored.
type Accepted struct{}

// PresencePage is who of a group's members is there, or was lately.
type PresencePage struct {
	Items []group.Present `json:"items"`
}

func (c *Controller) registerStream() {
	register(c, operation(http.MethodGet, "/groups/{groupId}/events", "list-events",
		"Read the log after a version", http.StatusOK,
		hidden, outside, "410 log_truncated", "422 validation_failed"), c.events)
	register(c, operation(http.MethodPost, "/groups/{groupId}/messages", "post-message",
		"Post a message into the log", http.StatusCreated, hidden, outside, "409 group_ended"), c.post)
	register(c, operation(http.MethodPut, "/groups/{groupId}/read", "mark-read",
		"Say how far the caller has read; a mark that is further on stays", http.StatusNoContent, hidden, outside), c.read)
	register(c, operation(http.MethodPost, "/groups/{groupId}/signals", "send-signal",
		"Send to the subscribers without storing", http.StatusAccepted, hidden, outside, "409 group_ended"), c.signal)
	register(c, operation(http.MethodGet, "/groups/{groupId}/presence", "get-presence",
		"Read who is there", http.StatusOK, hidden, outside), c.presence)

	op := operation(http.MethodPost, "/users/{userId}/disconnect", "disconnect-user",
		"Close a user's sockets on every node; back ends only", http.StatusNoContent, "403 forbidden")
	op.Tags = []string{"users"}
	register(c, op, c.disconnect)
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

func (c *Controller) presence(ctx context.Context, in *OneGroup) (*Answer[PresencePage], error) {
	items, err := c.service.Presence(ctx, web.Caller(ctx), in.GroupID)
	return answer(PresencePage{Items: items}, err)
}
