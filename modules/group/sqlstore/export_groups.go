package sqlstore

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/transfer"
)

// exported is one kind of record in an export.
type exported struct {
	what, columns, from, where, order string

	record func(scan scanner, now time.Time) (any, error) // if it returns nil, the row is left out
}

var exports = []exported{
	{"groups", groupColumns, "groups g", "", "g.id", exportedGroup},
	{"members", `g.id, ` + memberColumns, "members m JOIN groups g ON g.id = m.group_id", "", "m.group_id, m.user_id", exportedMember},
	{"bans", `g.id, ` + banColumns, "bans b JOIN groups g ON g.id = b.group_id", "", "b.group_id, b.user_id", exportedBan},
	{"invites", `g.id, i.code_hash, ` + inviteColumns, "invites i JOIN groups g ON g.id = i.group_id", "", "i.group_id, i.id", exportedInvite},
	{
		"messages", `g.id, ` + eventColumns, "events e JOIN groups g ON g.id = e.group_id", " AND e.type = 'message.posted' AND NOT e.deleted",
		"e.group_id, e.version", exportedMessage,
	},
}

// Export passes all groups, or one if groupID is not empty, to put. First come the groups,
// then the members, the bans and invites in force at now, and the messages of all of them,
// each in the order of group ids. Deleted messages are left out. q must be a transaction
// that sees the database at one moment. Each call of put gets a record for
// [transfer.Encoder.Put].
func Export(ctx context.Context, q database.Querier, groupID string, now time.Time, put func(record any) error) error {
	for _, part := range exports {
		text, a := `SELECT `+part.columns+` FROM `+part.from+` WHERE g.deleted_at IS NULL`+part.where, args{}
		if groupID != "" {
			text, a = text+` AND g.id = $1`, args{groupID}
		}
		err := each(ctx, q, text+` ORDER BY `+part.order, a, func(scan scanner) error {
			record, err := part.record(scan, now)
			if err != nil || record == nil {
				return err
			}
			return put(record)
		})
		if err != nil {
			return fmt.Errorf("export %s: %w", part.what, err)
		}
	}
	return nil
}

func exportedGroup(scan scanner, _ time.Time) (any, error) {
	var row groupRow
	if err := scan(row.fields()...); err != nil {
		return nil, err
	}
	g, err := row.group()
	return transfer.NewGroup{Group: g}, err
}

func exportedMember(scan scanner, now time.Time) (any, error) {
	var (
		groupID string
		row     memberRow
	)
	if err := scan(slices.Concat([]any{&groupID}, row.fields())...); err != nil {
		return nil, err
	}
	m := *row.member()
	if m.MutedUntil != nil && !m.MutedUntil.After(now) {
		m.Muted, m.MutedUntil = false, nil
	}
	return transfer.NewMember{GroupID: groupID, Member: m}, nil
}

func exportedBan(scan scanner, now time.Time) (any, error) {
	var (
		groupID string
		row     banRow
	)
	if err := scan(slices.Concat([]any{&groupID}, row.fields())...); err != nil {
		return nil, err
	}
	b := *row.ban()
	if b.ExpiresAt != nil && !b.ExpiresAt.After(now) {
		return nil, nil
	}
	return transfer.NewBan{GroupID: groupID, Ban: b}, nil
}

func exportedInvite(scan scanner, now time.Time) (any, error) {
	var (
		groupID, hash string
		row           inviteRow
	)
	if err := scan(slices.Concat([]any{&groupID, &hash}, row.fields())...); err != nil {
		return nil, err
	}
	i := *row.invite()
	if !i.Holds(now) {
		return nil, nil
	}
	return transfer.NewInvite{GroupID: groupID, CodeHash: hash, Invite: i}, nil
}

func exportedMessage(scan scanner, _ time.Time) (any, error) {
	var (
		groupID string
		row     eventRow
	)
	if err := scan(slices.Concat([]any{&groupID}, row.fields())...); err != nil {
		return nil, err
	}
	m, err := group.DecodeMessage(row.event(groupID))
	return transfer.Message{GroupID: groupID, Message: m}, err
}
