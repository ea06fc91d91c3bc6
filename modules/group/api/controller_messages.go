package api

import (
	"context"
	"net/http"
	"strconv"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/web"
)

// OneMessage is a message in a path.
type OneMessage struct {
	OneGroup
	Version int64 `path:"version" doc:"version of the event message.posted"`
}

type editMessageInput struct {
	OneMessage
	Once
	Sent[dto.EditMessageRequest]
}

type deleteMessageInput struct {
	OneMessage
	Once
}

type messagesInput struct {
	OneGroup
	web.Paging
	Before int64 `query:"before" minimum:"0" default:"0" doc:"list messages before this version; 0: from the newest; a cursor takes its place"`
}

func (c *Controller) registerMessages() {
	register(c, operation(http.MethodGet, "/groups/{groupId}/messages", "list-messages",
		"List messages as they are now, newest first", http.StatusOK,
		hidden, outside, "422 validation_failed"), c.messages)
	register(c, operation(http.MethodPatch, "/groups/{groupId}/messages/{version}", "edit-message",
		"Replace the data of a message, also in the log", http.StatusOK,
		hidden, "403 forbidden, muted, not_member", "409 group_ended"), c.editMessage)
	register(c, operation(http.MethodDelete, "/groups/{groupId}/messages/{version}", "delete-message",
		"Delete a message, also from the log", http.StatusOK,
		hidden, notEnough, "409 group_ended"), c.deleteMessage)
}

func (c *Controller) messages(ctx context.Context, in *messagesInput) (*Answer[web.Page[group.Message]], error) {
	key := func(m group.Message) string { return strconv.FormatInt(m.Version, 10) }
	return list(c, "messages of "+in.GroupID, in.Paging, key, func(from string, limit int) ([]group.Message, error) {
		before := in.Before
		if from != "" {
			var err error
			if before, err = strconv.ParseInt(from, 10, 64); err != nil {
				return nil, fault.ErrBadRequest.WithCause(err)
			}
		}
		return c.service.Messages(ctx, web.Caller(ctx), in.GroupID, before, limit)
	})
}

func (c *Controller) editMessage(ctx context.Context, in *editMessageInput) (*Answer[group.Event], error) {
	return answer(c.service.EditMessage(in.once(ctx), web.Caller(ctx), in.GroupID, in.Version, in.Body))
}

func (c *Controller) deleteMessage(ctx context.Context, in *deleteMessageInput) (*Answer[group.Event], error) {
	return answer(c.service.DeleteMessage(in.once(ctx), web.Caller(ctx), in.GroupID, in.Version))
}
