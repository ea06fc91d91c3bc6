package sqlstore

import (
	"context"
	"database/sql"
	"fmt"
	"math"
	"strconv"
	"strings"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

// findStatements list groups for back ends, with at most $1 rows. The order by activity is
// that of heads: an event changes no index of groups.
type findStatements struct {
	newest, ownersNewest, deleted, ownersDeleted string // with ids before $2, of owner $3
	active, ownersActive                         string // before the instant $2 and the id $3, of owner $4
}

func newFindStatements(d database.Dialect) findStatements {
	newest := func(where string) string {
		return `SELECT ` + groupColumns + `, g.moved_at, g.deleted_at FROM groups g WHERE g.id < $2 AND ` + where + ` ORDER BY g.id DESC LIMIT $1`
	}
	const live, deleted, owners = `g.deleted_at IS NULL`, `g.deleted_at IS NOT NULL`, `g.owner_id = $3 AND `
	itsGroup := `CROSS JOIN groups g ON g.id = h.group_id`
	if d == database.Postgres {
		// One lookup for each. A merge may read all groups.
		itsGroup = `CROSS JOIN LATERAL (SELECT * FROM groups WHERE id = h.group_id OFFSET 0) g`
	}
	active := `SELECT ` + groupColumns + `, h.moved_at, g.deleted_at FROM `
	return findStatements{
		newest: newest(live), ownersNewest: newest(owners + live),
		deleted: newest(deleted), ownersDeleted: newest(owners + deleted),
		active: active + `heads h ` + itsGroup + ` WHERE (h.moved_at, h.group_id) < ($2, $3) AND ` + live + `
			ORDER BY h.moved_at DESC, h.group_id DESC LIMIT $1`,
		// The plus keeps databases from the index of heads, which has the groups of all owners.
		ownersActive: active + `groups g JOIN heads h ON h.group_id = g.id WHERE g.owner_id = $4 AND ` + live + ` AND (+h.moved_at, g.id) < ($2, $3)
			ORDER BY +h.moved_at DESC, g.id DESC LIMIT $1`,
	}
}

// of returns the statement of a filter, and its arguments but the limit.
func (s *findStatements) of(f group.Filter, after string) (text string, a args, err error) {
	a = args{upTo(after)}
	switch {
	case f.Active:
		text = s.active
		at, id := int64(math.MaxInt64), upTo("")
		if after != "" {
			var micros string
			micros, id, _ = strings.Cut(after, " ")
			if at, err = strconv.ParseInt(micros, 10, 64); err != nil {
				return "", nil, errCursor
			}
		}
		a = args{at, id}
	case f.Deleted:
		text = s.deleted
	default:
		text = s.newest
	}
	if f.OwnerID == "" {
		return text, a, nil
	}
	owners := map[string]string{s.active: s.ownersActive, s.deleted: s.ownersDeleted, s.newest: s.ownersNewest}
	return owners[text], append(a, f.OwnerID), nil
}

// FindGroups implements [group.Finder].
func (s *Store) FindGroups(ctx context.Context, f group.Filter, after string, limit int) (groups []group.FoundGroup, err error) {
	if !storable(f.OwnerID) || !storable(after) {
		return []group.FoundGroup{}, nil
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		groups = []group.FoundGroup{}
		from := after
		return inChunks(limit, func(l *listing, rows int) error {
			text, a, err := s.sql.find.of(f, from)
			if err != nil {
				return err
			}
			return l.each(ctx, q, text, append(args{rows}, a...), func(scan scanner) error {
				var (
					row     groupRow
					found   group.FoundGroup
					active  int64
					deleted sql.NullInt64
				)
				if err := scan(append(row.fields(), &active, &deleted)...); err != nil {
					return err
				}
				found.ActiveAt, found.DeletedAt = instant(active), optionalInstant(deleted)
				if found.Group, err = row.group(); err != nil {
					return fmt.Errorf("read group %s: %w", row.g.ID, err)
				}
				groups, from = append(groups, found), f.Place(found)
				return nil
			})
		})
	})
	return groups, doing(err, "find groups", "")
}
