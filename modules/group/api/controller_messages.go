package api

import (
	"context"
	"net/http"

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

func (c *Controller) registerMessages() {
	register(c, operation(http.MethodPatch, "/groups/{groupId}/messages/{version}", "edit-message",
		"Replace the data of a message, also in the log", http.StatusOK,
		hidden, notEnough, "409 group_ended"), c.editMessage)
	register(c, operation(http.MethodDelete, "/groups/{groupId}/messages/{version}", "delete-message",
		"Delete a message, also from the log", http.StatusOK,
		hidden, notEnough, "409 group_ended"), c.deleteMessage)
}

func (c *Controller) editMessage(ctx context.Context, in *editMessageInput) (*Answer[group.Event], error) {
	return answer(c.service.EditMessage(in.once(ctx), web.Caller(ctx), in.GroupID, in.Version, in.Body))
}

func (c *Controller) deleteMessage(ctx context.Context, in *deleteMessageInput) (*Answer[group.Event], error) {
	return answer(c.service.DeleteMessage(in.once(ctx), web.Caller(ctx), in.GroupID, in.Version))
}
