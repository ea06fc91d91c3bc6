package sqlstore

import (
	"context"
	"database/sql"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/transfer"
)

const (
	tracedGroups = `SELECT group_id FROM traces WHERE user_id = $1 AND group_id > $2 ORDER BY group_id LIMIT $3`
	// traceIn reads what group $1 keeps about user $2. Each lookup uses the key of its
	// table.
	traceIn = `SELECT 'group', name, '', '', '', created_at, deleted_at, 0 FROM groups WHERE id = $1
		UNION ALL SELECT 'member', name, role, attributes, profile, joined_at, CAST(NULL AS BIGINT), read_version FROM members WHERE group_id = $1 AND user_id = $2
		UNION ALL SELECT 'request', name, '', '', '', at, CAST(NULL AS BIGINT), 0 FROM requests WHERE group_id = $1 AND user_id = $2
		UNION ALL SELECT 'invitation', invited_by, '', '', '', at, expires_at, 0 FROM invitations WHERE group_id = $1 AND user_id = $2
		UNION ALL SELECT 'ban', reason, '', '', '', at, expires_at, 0 FROM bans WHERE group_id = $1 AND user_id = $2
		UNION ALL SELECT 'mute', '', '', '', '', at, expires_at, 0 FROM mutes WHERE group_id = $1 AND user_id = $2`
	// userMessages examines all events of a user, so that it never reads more than $4.
	userMessages = `SELECT group_id, version, type, actor, CASE WHEN type = 'message.posted' THEN data ELSE '' END, at FROM events
		WHERE actor = $1 AND (group_id, version) > ($2, $3) ORDER BY group_id, version LIMIT $4`
)

// UserTraces implements [transfer.Traces].
func (s *Store) UserTraces(ctx context.Context, userID, after string, limit int) (traces []transfer.Trace, err error) {
	if !storable(userID) || !storable(after) {
		return nil, nil
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		var ids []string
		err := each(ctx, q, tracedGroups, args{userID, after, limit}, func(scan scanner) error {
			var id string
			err := scan(&id)
			ids = append(ids, id)
			return err
		})
		traces = make([]transfer.Trace, len(ids))
		for i, id := range ids {
			if err != nil {
				break
			}
			traces[i].GroupID = id
			err = each(ctx, q, traceIn, args{id, userID}, func(scan scanner) error { return addTo(&traces[i], scan) })
		}
		return err
	})
	return traces, doing(err, "list what groups keep about a user", "")
}

// addTo adds a row of traceIn to t.
func addTo(t *transfer.Trace, scan scanner) error {
	var (
		kind, first, second, third, fourth string
		at, read                           int64
		until                              sql.NullInt64
	)
	if err := scan(&kind, &first, &second, &third, &fourth, &at, &until, &read); err != nil {
		return err
	}
	switch kind {
	case "group":
		t.GroupName, t.Deleted = first, until.Valid
	case "member":
		t.Member = &transfer.TracedMember{
			Name: first, Role: group.Role(second), Attributes: []byte(third), Profile: profile(fourth), JoinedAt: instant(at), ReadVersion: read,
		}
	case "request":
		t.Request = &transfer.TracedRequest{Name: first, At: instant(at)}
	case "invitation":
		t.Invitation = &transfer.TracedInvitation{InvitedBy: first, At: instant(at), ExpiresAt: instant(until.Int64)}
	case "ban":
		t.Ban = &transfer.TracedBan{Reason: first, At: instant(at), ExpiresAt: optionalInstant(until)}
	case "mute":
		t.Mute = &transfer.TracedMute{At: instant(at), ExpiresAt: optionalInstant(until)}
	}
	return nil
}

// UserMessages implements [transfer.Traces].
func (s *Store) UserMessages(ctx context.Context, userID, after string, version int64, limit int) (events []group.Event, next group.Ref, more bool, err error) {
	next = group.Ref{GroupID: after, Version: version}
	if !storable(userID) || !storable(after) {
		return nil, next, false, nil
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		var rows int
		events, rows, next = nil, 0, group.Ref{GroupID: after, Version: version}
		err := each(ctx, q, userMessages, args{userID, after, version, limit}, func(scan scanner) error {
			var row eventRow
			if err := scan(append([]any{&next.GroupID}, row.fields()...)...); err != nil {
				return err
			}
			e := row.event(next.GroupID)
			if rows, next.Version = rows+1, e.Version; e.Type == group.MessagePosted {
				events = append(events, e)
			}
			return nil
		})
		more = rows == limit
		return err
	})
	return events, next, more, doing(err, "list the messages of a user", "")
}
