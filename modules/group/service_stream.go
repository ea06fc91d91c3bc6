package group

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

// message returns the data of message.posted: {type, data}.
func message(req dto.MessageRequest) json.RawMessage {
	data := make([]byte, 0, len(req.Type)+len(req.Data)+32)
	data = rawjson.AppendString(append(data, `{"type":`...), req.Type)
	data = append(append(data, `,"data":`...), req.Data...)
	return append(data, '}')
}

// signal returns the data of group:signal: {groupId, from, type, data}.
func signal(groupID, from string, req dto.SignalRequest) []byte {
	data := make([]byte, 0, len(groupID)+len(from)+len(req.Type)+len(req.Data)+64)
	data = rawjson.AppendString(append(data, `{"groupId":`...), groupID)
	data = rawjson.AppendString(append(data, `,"from":`...), from)
	data = rawjson.AppendString(append(data, `,"type":`...), req.Type)
	data = append(append(data, `,"data":`...), req.Data...)
	return append(data, '}')
}

// Post writes a message to the group's log, and moves the caller's read mark to it.
func (s *Service) Post(ctx context.Context, caller auth.Identity, groupID string, req dto.MessageRequest) (Event, error) {
	req, err := req.Validate()
	if err != nil {
		return Event{}, err
	}
	data := message(req)
	if err := s.chargeMessage(caller, groupID, len(data)); err != nil {
		return Event{}, err
	}
	var posted Event
	about := s.inquire(caller, AskMessage, groupID, req)
	err = s.change(ctx, actPost, caller, groupID, asked{what: "post", with: req, answer: &posted, about: about}, func(tx Tx, _ *Member) (err error) {
		if err := about.due(); err != nil {
			return err
		}
		posted, err = tx.Append(ctx, MessagePosted, caller.UserID, data)
		posted.Data = nil // not in the receipt: a repeat of the request contains the same
		tx.MarkRead(caller.UserID)
		return err
	})
	if err != nil {
		return Event{}, err
	}
	posted.Data = data
	return posted, nil
}

// SignalSource describes the socket that sends a signal, if there is one.
type SignalSource struct {
	// SocketID is the id of this socket, which does not receive the signal. It is empty
	// over HTTP.
	SocketID string
	// Subscribed means that the sender is subscribed on this node, so the database need not
	// be asked.
	Subscribed bool
}

// Signal sends a signal to the group's subscribers, or to the users in req.To. It is not
// stored, and is delivered at most once. Signal returns nil even if other nodes cannot be
// reached.
func (s *Service) Signal(ctx context.Context, caller auth.Identity, groupID string, from SignalSource, req dto.SignalRequest) error {
	req, err := req.Validate()
	if err != nil {
		return err
	}
	request := asked{what: "signal " + groupID, with: req, about: s.inquire(caller, AskSignal, groupID, req)}
	receipt, err := request.receipt(ctx, caller)
	if err != nil {
		return err
	}
	err = s.asking(ctx, request.about, receipt, func() error { return s.send(ctx, caller, groupID, from, req, request, receipt) })
	if errors.Is(err, ErrReceipted) {
		return s.settle(ctx, receipt, request, err)
	}
	return err
}

// send sends a signal. It fails if a back end must be asked first.
func (s *Service) send(ctx context.Context, caller auth.Identity, groupID string, from SignalSource, req dto.SignalRequest, request asked, receipt *Receipt) error {
	if err := s.maySignal(ctx, caller, groupID, from); err != nil {
		return err
	}
	if req.To != nil && len(req.To) == 0 {
		return nil // nobody would receive it; with an empty Envelope.To, everybody would
	}
	if err := request.about.due(); err != nil {
		return err
	}
	wire := signal(groupID, caller.UserID, req)
	most := math.MaxInt
	if req.To != nil {
		most = len(req.To) * userSockets
	}
	if err := s.chargeDeliveries(caller, groupID, len(wire), most); err != nil {
		return err
	}
	return s.claim(ctx, caller, request, receipt, func() {
		s.signaler.Cast(ctx, adapter.Envelope{
			Room:   Room(groupID),
			Event:  EventSignal,
			Data:   wire,
			Except: from.SocketID,
			To:     req.To,
			Lossy:  true,
		})
	})
}

// maySignal checks the caller's permission. It asks the database only if this node does not
// know.
func (s *Service) maySignal(ctx context.Context, caller auth.Identity, groupID string, from SignalSource) error {
	if from.Subscribed || s.senders != nil && s.senders.MaySend(caller, groupID) {
		return caller.Check(permissions[actSignal].call)
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

// Events returns at most limit events after since, up to [ListBytes], and the last version
// that they cover. It returns ErrLogTruncated if the log does not reach back to since.
func (s *Service) Events(ctx context.Context, caller auth.Identity, groupID string, since int64, limit int) ([]Event, int64, error) {
	if since < 0 {
		return nil, 0, fault.Validation(fault.Field{Field: "since", Message: "must not be negative"})
	}
	if !dto.ValidGroupID(groupID) {
		return nil, 0, fault.ErrNotFound
	}
	if err := charge(caller, s.limits.Read); err != nil {
		return nil, 0, err
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
	fit := Fit(page.Events, limit)
	return page.Events[:fit], page.Events[fit-1].Version, nil
}
