package sqlstore

import (
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// Columns, in the order of the fields of the row types below.
const (
	groupColumns = `g.id, g.name, g.description, g.visibility, g.join_policy, g.capacity, g.attributes, g.member_count,
		g.owner_id, g.version, g.revision, g.created_at, g.updated_at, g.ends_at, g.ended_at, g.remind_before, g.posting, g.read_receipts`
	// memberColumns are the columns of a row m of members.
	memberColumns = `m.user_id, m.name, m.role, m.attributes, m.profile, m.joined_at, ` + mutedUntil
	// logBounds follows groupColumns. It has the time of the group's last version, whether
	// the group is deleted, and the version of the oldest event.
	logBounds    = `, g.moved_at, g.deleted_at IS NOT NULL, COALESCE((SELECT MIN(version) FROM events WHERE group_id = g.id), 0)`
	eventColumns = `e.version, e.type, e.actor, e.data, e.at`
)

type groupRow struct {
	g                group.Group
	attributes       string
	capacity         sql.NullInt64
	created, updated int64
	ends, ended      sql.NullInt64
	remindBefore     sql.NullString
}

func (r *groupRow) fields() []any {
	g := &r.g
	return []any{
		&g.ID, &g.Name, &g.Description, (*string)(&g.Visibility), (*string)(&g.JoinPolicy), &r.capacity, &r.attributes,
		&g.MemberCount, &g.OwnerID, &g.Version, &g.Revision, &r.created, &r.updated, &r.ends, &r.ended, &r.remindBefore,
		(*string)(&g.Posting), &g.ReadReceipts,
	}
}

func (r *groupRow) group() (group.Group, error) {
	g := r.g
	g.Attributes = json.RawMessage(r.attributes)
	g.CreatedAt, g.UpdatedAt = instant(r.created), instant(r.updated)
	g.EndsAt, g.EndedAt = optionalInstant(r.ends), optionalInstant(r.ended)
	if r.capacity.Valid {
		n := int(r.capacity.Int64)
		g.Capacity = &n
	}
	if r.remindBefore.Valid {
		if err := json.Unmarshal([]byte(r.remindBefore.String), &g.RemindBefore); err != nil {
			return group.Group{}, fmt.Errorf("decode remind_before of group %s: %w", g.ID, err)
		}
	}
	return g, nil
}

// pageRow is a row of groupColumns and logBounds.
type pageRow struct {
	groupRow
	moved, first int64
	deleted      bool
}

func (r *pageRow) fields() []any { return append(r.groupRow.fields(), &r.moved, &r.deleted, &r.first) }

// page returns a page without events and members.
func (r *pageRow) page() (group.LogPage, error) {
	g, err := r.group()
	return group.LogPage{
		Group: g, MovedAt: instant(r.moved), Deleted: r.deleted, First: r.first,
		Events: []group.Event{}, Members: make(map[string]group.Member),
	}, err
}

// recordArgs are the arguments for the columns that a change of the record replaces, in the
// order of recordColumns.
func recordArgs(g group.Group) (args, error) {
	var remind any
	if g.RemindBefore != nil {
		text, err := json.Marshal(g.RemindBefore)
		if err != nil {
			return nil, err
		}
		remind = string(text)
	}
	var capacity any
	if g.Capacity != nil {
		capacity = int64(*g.Capacity)
	}
	return args{
		g.Name, searchable(g.Name), g.Description, string(g.Visibility), string(g.JoinPolicy), capacity,
		object(g.Attributes), g.UpdatedAt.UnixMicro(), micros(g.EndsAt), micros(g.EndedAt), remind,
		string(g.Posting), g.ReadReceipts,
	}, nil
}

var recordColumns = []string{
	"name", "search", "description", "visibility", "join_policy", "capacity",
	"attributes", "updated_at", "ends_at", "ended_at", "remind_before",
	"posting", "read_receipts",
}

// memberRow is a member, or nulls where an outer join found none.
type memberRow struct {
	userID, name, role, attributes, profile sql.NullString
	joined, muted                           sql.NullInt64
}

func (r *memberRow) fields() []any {
	return []any{&r.userID, &r.name, &r.role, &r.attributes, &r.profile, &r.joined, &r.muted}
}

// addTo adds the member, if there is one.
func (r *memberRow) addTo(members map[string]group.Member) {
	if m := r.member(); m != nil {
		members[m.UserID] = *m
	}
}

func (r *memberRow) member() *group.Member {
	if !r.userID.Valid {
		return nil
	}
	m := &group.Member{
		UserID:     r.userID.String,
		Name:       r.name.String,
		Role:       group.Role(r.role.String),
		Attributes: json.RawMessage(r.attributes.String),
		Profile:    profile(r.profile.String),
		JoinedAt:   instant(r.joined.Int64),
	}
	m.Muted, m.MutedUntil = mutedOf(r.muted)
	return m
}

func memberArgs(groupID string, m group.Member, read mark) args {
	return args{groupID, m.UserID, m.Name, string(m.Role), object(m.Attributes), object(m.Profile), m.JoinedAt.UnixMicro(), read.version, read.messages}
}

// eventRow is an event, or nulls where an outer join found none.
type eventRow struct {
	version, at      sql.NullInt64
	typ, actor, data sql.NullString
}

func (r *eventRow) fields() []any {
	return []any{&r.version, &r.typ, &r.actor, &r.data, &r.at}
}

func (r *eventRow) event(groupID string) group.Event {
	e := group.Event{
		GroupID: groupID, Version: r.version.Int64, Type: group.EventType(r.typ.String),
		Data: json.RawMessage(r.data.String), At: instant(r.at.Int64),
	}
	if r.actor.Valid {
		e.Actor = &r.actor.String
	}
	return e
}

func eventArgs(e group.Event) args {
	var actor any
	if e.Actor != nil {
		actor = *e.Actor
	}
	return args{e.GroupID, e.Version, string(e.Type), actor, string(e.Data), e.At.UnixMicro()}
}

// normal returns g as a later read would return it.
func normal(g group.Group) group.Group {
	g.Attributes = json.RawMessage(object(g.Attributes))
	g.CreatedAt, g.UpdatedAt = stored(g.CreatedAt), stored(g.UpdatedAt)
	g.EndsAt, g.EndedAt = storedOptional(g.EndsAt), storedOptional(g.EndedAt)
	return g
}

func normalMember(m group.Member) group.Member {
	m.Attributes = json.RawMessage(object(m.Attributes))
	m.Profile = profile(object(m.Profile))
	m.JoinedAt = stored(m.JoinedAt)
	return m
}

func object(raw json.RawMessage) string {
	if len(raw) == 0 {
		return "{}"
	}
	return string(raw)
}

// profile returns a member's profile, or nil if it is empty.
func profile(text string) json.RawMessage {
	if text == "{}" {
		return nil
	}
	return json.RawMessage(text)
}

func instant(micros int64) time.Time { return time.UnixMicro(micros).UTC() }
func stored(t time.Time) time.Time   { return instant(t.UnixMicro()) }

func optionalInstant(micros sql.NullInt64) *time.Time {
	if !micros.Valid {
		return nil
	}
	t := instant(micros.Int64)
	return &t
}

func storedOptional(t *time.Time) *time.Time {
	if t == nil {
		return nil
	}
	s := stored(*t)
	return &s
}

func micros(t *time.Time) any {
	if t == nil {
		return nil
	}
	return t.UnixMicro()
}
