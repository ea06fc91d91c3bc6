package sqlstore

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/socket/packet/rawjson"
)

var _ group.Tx = (*tx)(nil)

// Group returns the locked record, including changes of this transaction.
func (t *tx) Group() group.Group { return t.g }

// Member returns a member, or nil.
func (t *tx) Member(ctx context.Context, userID string) (*group.Member, error) {
	if i, ok := t.pending[userID]; ok {
		m := t.joined[i]
		return &m, nil
	}
	if m, ok := t.known(userID); ok {
		return m, nil
	}
	if !storable(userID) {
		return nil, nil //nolint:nilnil // the contract's word for "not a member"
	}
	var row memberRow
	err := t.q.QueryRowContext(ctx, t.sql.member, t.g.ID, userID).Scan(row.fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // the contract's word for "not a member"
	}
	if err != nil {
		return nil, fmt.Errorf("read member %s: %w", userID, err)
	}
	return row.member(), nil
}

// known returns a copy of a membership that was read before (nil if there is none), and
// whether it was read.
func (t *tx) known(userID string) (*group.Member, bool) {
	m, ok := t.read[userID]
	if a, seen := t.seen[userID]; seen {
		m, ok = a.member, true
	}
	if m == nil {
		return nil, ok
	}
	known := *m
	return &known, true
}

// SetGroup replaces the record; the next event raises the revision.
func (t *tx) SetGroup(ctx context.Context, g group.Group) error {
	g = normal(g)
	record, err := recordArgs(g)
	if err != nil {
		return err
	}
	if _, err := t.q.ExecContext(ctx, t.sql.setRecord, append(args{t.g.ID}, record...)...); err != nil {
		return fmt.Errorf("write the record: %w", err)
	}
	if !bytes.Equal(g.Attributes, t.g.Attributes) {
		if err := t.setAttributes(ctx, t.g.ID, g.Attributes, false); err != nil {
			return err
		}
	}
	// Keep the fields that SetGroup does not replace.
	g.ID, g.MemberCount, g.OwnerID, g.CreatedAt = t.g.ID, t.g.MemberCount, t.g.OwnerID, t.g.CreatedAt
	g.Version, g.Revision = t.g.Version, t.g.Revision
	t.g, t.revise = g, true
	return nil
}

// AddMember inserts a member and counts them.
func (t *tx) AddMember(_ context.Context, m group.Member) error {
	if !storable(m.UserID) || !storable(m.Name) {
		return errNoText
	}
	if t.pending == nil {
		t.pending = make(map[string]int)
	}
	t.regrouped = true
	t.pending[m.UserID] = len(t.joined)
	t.joined = append(t.joined, normalMember(m))
	t.marks = append(t.marks, mark{t.g.Version, t.messages})
	t.count(1)
	return nil
}

// SetMember replaces a member's role, attributes, name and profile.
func (t *tx) SetMember(ctx context.Context, m group.Member) error {
	if !storable(m.Name) {
		return errNoText
	}
	return t.one(ctx, "write member "+m.UserID, t.sql.setMember, t.g.ID, m.UserID, string(m.Role), object(m.Attributes), m.Name, object(m.Profile))
}

// RemoveMember deletes a member, uncounts them, and ends an offer to them.
func (t *tx) RemoveMember(ctx context.Context, userID string) error {
	if err := t.one(ctx, "remove member "+userID, t.sql.removeMember, t.g.ID, userID); err != nil {
		return err
	}
	t.count(-1)
	if userID == t.offered {
		return t.SetOffered(ctx, "")
	}
	return nil
}

// one runs a statement on one member. It fails when there is no such member.
func (t *tx) one(ctx context.Context, what, query string, a ...any) error {
	if err := t.seat(ctx); err != nil {
		return err
	}
	t.regrouped = true
	n, err := affect(ctx, t.q, query, a...)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	if n != 1 {
		return fmt.Errorf("%s: not a member of group %s", what, t.g.ID)
	}
	return nil
}

func (t *tx) count(n int) {
	t.counted += n
	t.g.MemberCount += n
}

// Due returns when the group's timer was due, if it is due now.
func (t *tx) Due() (time.Time, bool) {
	if t.due == nil {
		return time.Time{}, false
	}
	return *t.due, true
}

// Schedule sets when the group's timer is due next.
func (t *tx) Schedule(ctx context.Context, next *time.Time) error {
	if _, err := t.q.ExecContext(ctx, t.sql.schedule, t.g.ID, micros(next)); err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	return nil
}

// Delete marks the group as deleted. It uncounts its owner and its first members; Trim
// uncounts the others.
func (t *tx) Delete(ctx context.Context) error {
	if _, err := t.q.ExecContext(ctx, t.sql.setDeleted, t.g.ID); err != nil {
		return fmt.Errorf("mark as deleted: %w", err)
	}
	if err := t.seat(ctx); err != nil {
		return err
	}
	if _, err := settle(ctx, t.q, t.sql.settle, t.g.ID, t.g.OwnerID, ""); err != nil {
		return fmt.Errorf("uncount the members: %w", err)
	}
	return nil
}

// Append gives an event the next version. flush writes it at the end of the
// transaction.
func (t *tx) Append(_ context.Context, typ group.EventType, actor string, data any) (group.Event, error) {
	raw, err := encode(data)
	if err != nil {
		return group.Event{}, fmt.Errorf("encode the data of %s: %w", typ, err)
	}
	t.g.Version++
	if typ == group.MessagePosted {
		t.messages++
	}
	if t.revise {
		t.g.Revision, t.revise = t.g.Version, false
	}
	e := group.Event{GroupID: t.g.ID, Version: t.g.Version, Type: typ, Actor: actorOf(actor), Data: raw, At: t.at}
	t.events = append(t.events, e)
	return e, nil
}

// encode returns v as JSON. It returns a json.RawMessage unchanged.
func encode(v any) (json.RawMessage, error) {
	if raw, ok := v.(json.RawMessage); ok && raw != nil {
		return raw, nil
	}
	return rawjson.Marshal(v)
}
