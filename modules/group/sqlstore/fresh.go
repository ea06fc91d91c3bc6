package sqlstore

import (
	"context"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group/recordcache"
)

var _ recordcache.FreshReader = (*Store)(nil)

const freshQuery = `SELECT g.version, g.revision, g.member_count, g.visibility, g.posting, g.read_receipts, g.updated_at, ` + memberColumns + `
	FROM groups g LEFT JOIN members m ON m.group_id = g.id AND m.user_id = $2
	WHERE g.id = $1 AND g.deleted_at IS NULL`

// Fresh implements [recordcache.FreshReader].
func (s *Store) Fresh(ctx context.Context, groupID, userID string) (st recordcache.Fresh, err error) {
	if !storable(groupID) {
		return st, fault.ErrNotFound
	}
	if !storable(userID) {
		userID = "" // no user has this id
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		var (
			mem     memberRow
			updated int64
		)
		err := q.QueryRowContext(ctx, freshQuery, groupID, userID).
			Scan(append([]any{&st.Version, &st.Revision, &st.MemberCount, (*string)(&st.Visibility), (*string)(&st.Posting), &st.ReadReceipts, &updated}, mem.fields()...)...)
		if err != nil {
			return notFound(err)
		}
		st.UpdatedAt, st.Member = instant(updated), mem.member()
		return nil
	})
	return st, doing(err, "read the uncached part of group", groupID)
}
