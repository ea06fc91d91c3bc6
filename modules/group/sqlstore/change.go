package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/audit/sqlaudit"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

// Create stores a new group with its owner and the event group.created.
func (s *Store) Create(ctx context.Context, actor string, g group.Group, owner group.Member, admit func(group.Tally) error, receipt *group.Receipt, recorded ...audit.Entry) (group.Group, []group.Event, error) {
	g = normal(g)
	g.OwnerID, g.MemberCount, g.Version, g.Revision = owner.UserID, 1, 1, 1
	data, err := encode(g)
	if err != nil {
		return group.Group{}, nil, err
	}
	record, err := recordArgs(g)
	if err != nil {
		return group.Group{}, nil, err
	}
	var (
		events  []group.Event
		own     error // an error to return unwrapped: admit's, or ErrReceipted
		creator any   // the user whose limit the group counts for, even if another user owns it
	)
	if admit != nil {
		creator = owner.UserID
	}
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		t := &tx{q: q, sql: &s.sql, g: g, joined: []group.Member{owner}, marks: []mark{{}}}
		own = nil
		if admit != nil {
			tallies, err := t.Tally(ctx, owner.UserID)
			if err != nil {
				return err
			}
			if own = admit(tallies[owner.UserID]); own != nil {
				return own
			}
		}
		if receipt != nil {
			if err := t.Keep(ctx, *receipt); errors.Is(err, group.ErrReceipted) {
				own = err
				return own
			} else if err != nil {
				return err
			}
		}
		var at int64
		row := q.QueryRowContext(ctx, s.sql.insertGroup, append(args{g.ID, g.OwnerID, g.CreatedAt.UnixMicro(), creator}, record...)...)
		if err := row.Scan(&at); err != nil {
			return err
		}
		events = []group.Event{{
			GroupID: g.ID, Version: 1, Type: group.GroupCreated, Actor: actorOf(actor), Data: data, At: instant(at),
		}}
		t.events = events
		if err := t.setAttributes(ctx, g.ID, g.Attributes, true); err != nil {
			return err
		}
		if err := sqlaudit.Insert(ctx, q, recorded...); err != nil {
			return err
		}
		if err := t.insert(ctx); err != nil || g.EndsAt == nil {
			return err
		}
		return t.Schedule(ctx, g.NextTimer(g.CreatedAt))
	})
	switch {
	case own != nil:
		return group.Group{}, nil, own
	case err != nil:
		return group.Group{}, nil, doing(err, "create group", g.ID)
	}
	return g, events, nil
}

// Change runs fn in a transaction that holds a lock on the group's row.
func (s *Store) Change(ctx context.Context, groupID, userID string, fn func(group.Tx) error) ([]group.Event, error) {
	if !storable(groupID) {
		return nil, fault.ErrNotFound
	}
	ctx, cancel := database.WithDeadline(ctx)
	defer cancel()
	if s.db.Dialect() == database.Postgres {
		leave, err := s.gates.enter(ctx, groupID)
		if err != nil {
			return nil, doing(err, "wait for group", groupID)
		}
		defer leave()
	}
	var (
		events []group.Event
		own    error // fn's error, to return unwrapped
	)
	err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		events, own = nil, nil
		t, err := s.begin(ctx, q, groupID, userID)
		if err != nil {
			return err
		}
		if own = fn(t); own != nil {
			return own
		}
		if err := t.flush(ctx); err != nil {
			return err
		}
		events = t.events
		return nil
	})
	switch {
	case err == nil:
		return events, nil
	case own != nil:
		return nil, err
	default:
		return nil, doing(err, "change group", groupID)
	}
}

// begin locks the group's row and reads it, together with a user's membership.
//
// On PostgreSQL, a statement that waited for a row lock sees that row as it is now, but all
// other rows as they were when the statement began (PostgreSQL's manual, "Read Committed
// Isolation Level"). So the membership is valid only if the group still has the version
// that it had then: each change of a membership is an event.
func (s *Store) begin(ctx context.Context, q database.Querier, groupID, userID string) (*tx, error) {
	if !storable(userID) {
		userID = "" // no user has an empty id
	}
	var (
		row        groupRow
		mem        memberRow
		version    int64 // when the statement began
		next       sql.NullInt64
		moved, now int64
		messages   int64
		offered    sql.NullString
	)
	fields := slices.Concat(row.fields(), []any{&next, &moved, &messages, &offered, &now, &version}, mem.fields())
	err := q.QueryRowContext(ctx, s.sql.lock, groupID, userID).Scan(fields...)
	if err != nil {
		return nil, notFound(err)
	}
	g, err := row.group()
	if err != nil {
		return nil, err
	}
	// The times of a group's events never decrease, even if the clock was set back.
	t := &tx{q: q, sql: &s.sql, g: g, version: g.Version, at: instant(max(now, moved)), messages: messages, offered: offered.String}
	if next.Valid && next.Int64 <= now {
		t.due = optionalInstant(next)
	}
	if userID != "" && version == g.Version {
		t.read = map[string]*group.Member{userID: mem.member()}
	}
	return t, nil
}

func actorOf(userID string) *string {
	if userID == "" {
		return nil
	}
	return &userID
}

// flush writes the gathered rows and the group's new version. Because begin locked the
// group's row, the versions that Append gave are the next ones. flush checks this with the
// result of the update.
func (t *tx) flush(ctx context.Context) error {
	if t.revise {
		return fmt.Errorf("group %s: its record was set without an event", t.g.ID)
	}
	if t.regrouped && len(t.events) == 0 {
		return fmt.Errorf("group %s: a membership was changed without an event", t.g.ID)
	}
	move, a := t.sql.move, args{t.g.ID, len(t.events), t.g.Revision, t.counted, t.messages}
	switch {
	case len(t.events) == 1 && len(t.joined) == 1 && t.reader == nil && t.sql.moveWithMember != "":
		move, a = t.sql.moveWithMember, slices.Concat(a, eventArgs(t.events[0])[1:], memberArgs("", t.joined[0], t.marks[0])[1:])
	case len(t.events) == 1 && t.sql.moveWithEvent != "":
		if err := t.seat(ctx); err != nil {
			return err
		}
		move, a = t.sql.moveWithEvent, append(append(a, eventArgs(t.events[0])[1:]...), t.reader)
	default:
		if err := t.insert(ctx); err != nil {
			return err
		}
		if err := t.readAll(ctx); err != nil {
			return err
		}
	}
	if len(t.events) == 0 {
		return nil
	}
	var version int64
	if err := t.q.QueryRowContext(ctx, move, a...).Scan(&version); err != nil {
		return err
	}
	if version != t.g.Version {
		return fmt.Errorf("group %s: it came to version %d instead of %d", t.g.ID, version, t.g.Version)
	}
	return nil
}

// insert writes members, events and the outbox.
func (t *tx) insert(ctx context.Context) error {
	if err := t.seat(ctx); err != nil {
		return err
	}
	events, outbox := make([]args, len(t.events)), make([]args, len(t.events))
	for i, e := range t.events {
		events[i], outbox[i] = append(eventArgs(e), t.messagesAt(i)), args{e.GroupID, e.Version}
	}
	exec := t.exec(ctx)
	if err := t.sql.insertEvents.split(events, exec); err != nil {
		return err
	}
	return t.sql.insertOutbox.split(outbox, exec)
}

// seat inserts the added members.
func (t *tx) seat(ctx context.Context) error {
	t.forget()
	rows := make([]args, len(t.joined))
	for i, m := range t.joined {
		rows[i] = memberArgs(t.g.ID, m, t.marks[i])
	}
	slices.SortFunc(rows, byUserID)
	t.joined, t.marks, t.pending = nil, nil, nil
	return t.sql.insertMembers.split(rows, t.exec(ctx))
}

// byUserID is the order in which rows of members are inserted, because the insert locks the
// users' rows.
func byUserID(a, b args) int {
	first, _ := a[1].(string)
	second, _ := b[1].(string)
	return strings.Compare(first, second)
}

func (t *tx) exec(ctx context.Context) func(string, args) error {
	return func(text string, a args) error {
		_, err := t.q.ExecContext(ctx, text, a...)
		return err
	}
}

// tx is one change of one group. It gathers added members and events for flush, and writes
// everything else at once.
type tx struct {
	q       database.Querier
	sql     *statements
	g       group.Group
	version int64 // the version when the row was locked
	at      time.Time
	due     *time.Time // when the timer was due; nil if it is not due yet
	offered string     // the member to whom the group is offered; empty if none

	events    []group.Event
	counted   int // added minus removed members
	revise    bool
	regrouped bool // a membership was changed

	messages int64 // number of messages in the group, including the new events
	reader   any   // id of the member whose read mark moves to the last event; may be nil

	seen map[string]about         // by user id; cleared when one of them is changed
	read map[string]*group.Member // memberships that were read with the group, for seen

	joined  []group.Member
	marks   []mark         // read marks of the members who joined
	pending map[string]int // user id -> index in joined
}
