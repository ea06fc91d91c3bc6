package api

import (
	"context"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/socket"
)

func (g *Gateway) editMessage(ctx context.Context, s *socket.Socket, req dto.ChangingMessage[dto.EditMessageRequest]) (group.Event, error) {
	return g.service.EditMessage(group.WithKey(ctx, req.Key), s.Identity(), req.GroupID, req.Version, req.Body)
}

func (g *Gateway) deleteMessage(ctx context.Context, s *socket.Socket, req dto.ChangingMessage[dto.NoFields]) (group.Event, error) {
	if err := req.Body.Check(); err != nil {
		return group.Event{}, err
	}
	return g.service.DeleteMessage(group.WithKey(ctx, req.Key), s.Identity(), req.GroupID, req.Version)
}
