package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"maps"

	"github.com/moim-live/moim/modules/group"
)

// about is what a group keeps about a user.
type about struct {
	member   *group.Member
	outsider group.Outsider
}

// outsiders reads bans, mutes, requests, invitations and memberships in one statement. A
// user who joins needs all of them while the group's row is locked.
func outsiders(a asked) string {
	return ofUsers(a, `'ban', user_id, reason, actor, '', '', expires_at, at`, "bans") + ` UNION ALL ` +
		ofUsers(a, `'mute', user_id, '', actor, '', '', expires_at, at`, "mutes") + ` UNION ALL ` +
		ofUsers(a, `'request', user_id, name, '', '', '', CAST(NULL AS BIGINT), at`, "requests") + ` UNION ALL ` +
		ofUsers(a, `'invitation', user_id, invited_by, '', '', '', expires_at, at`, "invitations") + ` UNION ALL ` +
		ofUsers(a, `'member', user_id, name, role, attributes, profile, `+mutedUntil+`, joined_at`, "members")
}

// Outsiders returns what the group keeps about users. A later call of Member for one of
// them needs no statement.
func (t *tx) Outsiders(ctx context.Context, userIDs ...string) (map[string]group.Outsider, error) {
	if err := t.look(ctx, userIDs); err != nil {
		return nil, fmt.Errorf("read who is not in group %s: %w", t.g.ID, err)
	}
	found := make(map[string]group.Outsider)
	for _, userID := range userIDs {
		if o := t.seen[userID].outsider; o != (group.Outsider{}) {
			found[userID] = o
		}
	}
	return found, nil
}

// look reads about users, unless t.seen already has all of them.
func (t *tx) look(ctx context.Context, userIDs []string) error {
	seen := make(map[string]about, len(userIDs))
	known := true
	for _, userID := range userIDs {
		a, there := t.seen[userID]
		seen[userID], known = a, known && there
	}
	if known {
		return nil
	}
	text, param, err := t.sql.outsiders.of(userIDs)
	if err != nil {
		return err
	}
	clear(seen)
	for _, userID := range userIDs {
		seen[userID] = about{}
	}
	err = each(ctx, t.q, text, args{t.g.ID, param}, func(scan scanner) error {
		var (
			kind, userID, first, second, third, fourth string
			expires                                    sql.NullInt64
			at                                         int64
		)
		if err := scan(&kind, &userID, &first, &second, &third, &fourth, &expires, &at); err != nil {
			return err
		}
		a := seen[userID]
		switch kind {
		case "ban":
			a.outsider.Ban = &group.Ban{UserID: userID, Reason: first, Actor: second, ExpiresAt: optionalInstant(expires), At: instant(at)}
		case "mute":
			a.outsider.Mute = &group.Mute{UserID: userID, Actor: second, ExpiresAt: optionalInstant(expires), At: instant(at)}
		case "request":
			a.outsider.Applicant = &group.Applicant{UserID: userID, Name: first, At: instant(at)}
		case "invitation":
			a.outsider.Invitation = &group.Invitation{UserID: userID, InvitedBy: first, ExpiresAt: instant(expires.Int64), At: instant(at)}
		case "member":
			a.member = &group.Member{UserID: userID, Name: first, Role: group.Role(second), Attributes: []byte(third), Profile: profile(fourth), JoinedAt: instant(at)}
			a.member.Muted, a.member.MutedUntil = mutedOf(expires)
		}
		seen[userID] = a
		return nil
	})
	if err != nil {
		return err
	}
	if t.seen == nil {
		t.seen = seen
		return nil
	}
	maps.Copy(t.seen, seen)
	return nil
}

// forget drops what was read about users. Call it before a write changes that.
func (t *tx) forget() {
	clear(t.seen)
	clear(t.read)
}
