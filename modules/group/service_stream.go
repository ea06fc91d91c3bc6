package group

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/moim-live/moim/internal/rawjson"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/socket/adapter"
)

// message is the data of message.posted.
type message struct {
	Type string          `json:"type"`
	Data json.RawMessage `json:"data"`
}

// signal returns the data of group:signal: {groupId, from, type, data}.
func signal(groupID, from string, req SignalRequest) []byte {
	data := tidy(req.Data)
	if data == nil {
		data = json.RawMessage("null")
	}
	wire := make([]byte, 0, len(groupID)+len(from)+len(req.Type)+len(data)+64)
	wire = rawjson.AppendString(append(wire, `{"groupId":`...), groupID)
	wire = rawjson.AppendString(append(wire, `,"from":`...), from)
	wire = rawjson.AppendString(append(wire, `,"type":`...), req.Type)
	wire = append(append(wire, `,"data":`...), data...)
	return append(wire, '}')
}

// Post writes a message into the group's log. Who answers has read: the
// caller's read mark moves to the message.
func (s *Service) Post(ctx context.Context, caller auth.Identity, groupID string, req MessageRequest) (Event, error) {
	if err := req.Validate(); err != nil {
		return Event{}, err
	}
	req = req.withDefaults()
	data, err := rawjson.Marshal(message{Type: req.Type, Data: req.Data})
	if err != nil {
		return Event{}, err
	}
	var posted Event
	err = s.change(ctx, actPost, caller, groupID, asked{"post", req, &posted}, func(tx Tx, _ *Member) (err error) {
		posted, err = tx.Append(ctx, MessagePosted, caller.UserID, data)
		tx.MarkRead(caller.UserID)
		return err
	})
	return posted, err
}

// SignalSource says where a signal comes from.
type SignalSource struct {
	// SocketID is the socket that sent it and does not receive it; empty over
	// HTTP.
	SocketID string
	// Subscribed says that the node's feed holds the sender as a subscriber:
	// then the database is not asked.
	Subscribed bool
}

// Signal sends to the group's subscribers, or to some users of them. It is
// stored nowhere and delivered at most once; that other nodes cannot be
// reached is no error.
func (s *Service) Signal(ctx context.Context, caller auth.Identity, groupID string, from SignalSource, req SignalRequest) error {
	if err := req.Validate(); err != nil {
		return err
	}
	if err := s.maySignal(ctx, caller, groupID, from); err != nil {
		return err
	}
	if req.To != nil && len(req.To) == 0 {
		return nil // for nobody, which must not become everybody
	}
	wire := signal(groupID, caller.UserID, req)
	return s.claim(ctx, caller, asked{what: "signal " + groupID, with: req}, func() {
		s.signaler.Cast(ctx, adapter.Envelope{
			Room:   Room(groupID),
			Event:  EventSignal,
			Data:   wire,
			Except: from.SocketID,
			To:     req.To,
		})
	})
}

// maySignal asks the database only when this node has not heard that the caller
// may.
func (s *Service) maySignal(ctx context.Context, caller auth.Identity, groupID string, from SignalSource) error {
	if from.Subscribed || s.senders != nil && s.senders.MaySend(caller, groupID) {
		return nil
	}
	g, _, err := s.look(ctx, actSignal, caller, groupID)
	if err != nil {
		return err
	}
	if err := goesOn(actSignal, g); err != nil {
		return err
	}
	if s.senders != nil {
		s.senders.Found(caller, groupID, g.Version)
	}
	return nil
}

// Events returns at most limit events after since, and the last version that
// they cover: the group's own when none is left out. It returns
// ErrLogTruncated when the log does not reach since.
func (s *Service) Events(ctx context.Context, caller auth.Identity, groupID string, since int64, limit int) ([]Event, int64, error) {
	if since < 0 {
		return nil, 0, fault.Validation(fault.Field{Field: "since", Message: "must not be negative"})
	}
	if !ValidGroupID(groupID) {
		return nil, 0, fault.ErrNotFound
	}
	page, err := s.log.Read(ctx, groupID, since, limit, []string{caller.UserID})
	if err != nil {
		return nil, 0, Hide(err)
	}
	if page.Deleted {
		return nil, 0, fault.ErrNotFound
	}
	var self *Member
	if m, ok := page.Members[caller.UserID]; ok {
		self = &m
	}
	if err := allow(actRead, caller, page.Group, self); err != nil {
		return nil, 0, err
	}
	head := page.Group.Version
	switch {
	case since >= head:
		return []Event{}, head, nil
	case len(page.Events) == 0 || page.Events[0].Version != since+1:
		return nil, 0, ErrLogTruncated
	}
	last := page.Events[len(page.Events)-1].Version
	if want := since + int64(len(page.Events)); last != want {
		return nil, 0, fmt.Errorf("read the log of group %s: it ends at %d instead of %d", groupID, last, want)
	}
	return page.Events, last, nil
}
