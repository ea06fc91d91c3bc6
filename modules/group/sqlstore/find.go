package sqlstore

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

// findStatements list groups for back ends, at most $1 rows. The orders by activity and by
// size use heads and group_sizes, so that an event changes no index of groups.
type findStatements struct {
	newest, ownersNewest, deleted, ownersDeleted string // with ids before $2, of owner $3
	active, ownersActive                         string // before the instant $2 and the id $3, of owner $4
	largest, ownersLargest                       string // before the size $2 and the id $3, of owner $4

	withAttributes string // joins the group for a row a of group_attributes
	countAttribute string // counts the groups with value $2 of attribute $1, up to rarest
}

func newFindStatements(d database.Dialect) findStatements {
	newest := func(where string) string {
		return `SELECT ` + groupColumns + `, g.moved_at, g.deleted_at FROM groups g WHERE g.id < $2 AND ` + where + ` ORDER BY g.id DESC LIMIT $1`
	}
	const live, deleted, owners = `g.deleted_at IS NULL`, `g.deleted_at IS NOT NULL`, `g.owner_id = $3 AND `
	itsGroup := func(row string) string {
		if d == database.Postgres {
			// One lookup for each row. A merge join may read all groups.
			return `CROSS JOIN LATERAL (SELECT * FROM groups WHERE id = ` + row + `.group_id OFFSET 0) g`
		}
		return `CROSS JOIN groups g ON g.id = ` + row + `.group_id`
	}
	active := `SELECT ` + groupColumns + `, h.moved_at, g.deleted_at FROM `
	largest := `SELECT ` + groupColumns + `, g.moved_at, g.deleted_at FROM `
	return findStatements{
		newest: newest(live), ownersNewest: newest(owners + live),
		deleted: newest(deleted), ownersDeleted: newest(owners + deleted),
		active: active + `heads h ` + itsGroup("h") + ` WHERE (h.moved_at, h.group_id) < ($2, $3) AND ` + live + `
			ORDER BY h.moved_at DESC, h.group_id DESC LIMIT $1`,
		// The plus keeps databases from using the index of heads, which has the groups of
		// all owners.
		ownersActive: active + `groups g JOIN heads h ON h.group_id = g.id WHERE g.owner_id = $4 AND ` + live + ` AND (+h.moved_at, g.id) < ($2, $3)
			ORDER BY +h.moved_at DESC, g.id DESC LIMIT $1`,
		largest: largest + `group_sizes s ` + itsGroup("s") + ` WHERE (s.members, s.group_id) < ($2, $3) AND ` + live + `
			ORDER BY s.members DESC, s.group_id DESC LIMIT $1`,
		ownersLargest: largest + `groups g WHERE g.owner_id = $4 AND ` + live + ` AND (g.member_count, g.id) < ($2, $3)
			ORDER BY g.member_count DESC, g.id DESC LIMIT $1`,
		withAttributes: itsGroup("a"),
		countAttribute: fmt.Sprintf(`SELECT COUNT(*) FROM (SELECT 1 FROM group_attributes WHERE key = $1 AND value = $2 LIMIT %d) counted`, rarest),
	}
}

// of returns the statement for a filter, and its arguments without the limit.
func (s *findStatements) of(f group.Filter, after string) (text string, a args, err error) {
	a = args{upTo(after)}
	owners := ""
	switch {
	case f.Order == group.Active:
		text, owners = s.active, s.ownersActive
	case f.Order == group.Largest:
		text, owners = s.largest, s.ownersLargest
	case f.Deleted:
		text, owners = s.deleted, s.ownersDeleted
	default:
		text, owners = s.newest, s.ownersNewest
	}
	if f.Order != group.Newest {
		most, id := int64(math.MaxInt64), upTo("")
		if f.Order == group.Largest {
			most = math.MaxInt32
		}
		if after != "" {
			var number string
			number, id, _ = strings.Cut(after, " ")
			if most, err = strconv.ParseInt(number, 10, 64); err != nil {
				return "", nil, errCursor
			}
		}
		a = args{most, id}
	}
	if f.OwnerID == "" {
		return text, a, nil
	}
	return owners, append(a, f.OwnerID), nil
}

// FindGroups implements [group.Finder].
func (s *Store) FindGroups(ctx context.Context, f group.Filter, after string, limit int) (groups []group.FoundGroup, err error) {
	if !storable(f.OwnerID) || !storable(after) || !storable(f.Query) {
		return []group.FoundGroup{}, nil
	}
	for key, value := range f.Attributes {
		if !storable(key) || !storable(value) {
			return []group.FoundGroup{}, nil
		}
	}
	if f.Query != "" {
		groups, err = s.findByName(ctx, &s.sql.searchAll, f.Query, after, limit)
		return groups, doing(err, "find groups", "")
	}
	read := func(ctx context.Context) (err error) {
		groups, err = s.listFiltered(ctx, f, after, limit)
		return err
	}
	if len(f.Attributes) > 1 { // many groups may have some of the attributes, but not all
		err = s.searchAmongFew(ctx, read)
	} else {
		err = read(ctx)
	}
	return groups, doing(err, "find groups", "")
}

func (s *Store) listFiltered(ctx context.Context, f group.Filter, after string, limit int) (groups []group.FoundGroup, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		groups = []group.FoundGroup{}
		keys, err := s.rarestFirst(ctx, q, f)
		if err != nil {
			return err
		}
		from := after
		return inChunks(limit, func(l *listing, rows int) error {
			text, a, err := s.sql.find.of(f, from)
			if err != nil {
				return err
			}
			a = append(args{rows}, a...)
			if len(keys) > 0 {
				text, a = attributesNewest(s.sql.find.withAttributes, f, keys, upTo(from), rows)
			}
			return l.each(ctx, q, text, a, func(scan scanner) error {
				found, err := scanFound(scan)
				groups, from = append(groups, found), f.Place(found)
				return err
			})
		})
	})
	return groups, err
}

// rarestFirst returns the keys of the attributes in a filter, with the one first that the
// fewest groups have.
func (s *Store) rarestFirst(ctx context.Context, q database.Querier, f group.Filter) ([]string, error) {
	keys := slices.Sorted(maps.Keys(f.Attributes))
	if len(keys) < 2 || f.OwnerID != "" {
		return keys, nil
	}
	counts := make(map[string]int, len(keys))
	for _, key := range keys {
		n := 0
		if err := q.QueryRowContext(ctx, s.sql.find.countAttribute, key, f.Attributes[key]).Scan(&n); err != nil {
			return nil, err
		}
		counts[key] = n
	}
	slices.SortStableFunc(keys, func(a, b string) int { return cmp.Compare(counts[a], counts[b]) })
	return keys, nil
}

// scanFound reads groupColumns, the time of the last event and the time of deletion.
func scanFound(scan scanner) (found group.FoundGroup, err error) {
	var (
		row     groupRow
		active  int64
		deleted sql.NullInt64
	)
	if err := scan(append(row.fields(), &active, &deleted)...); err != nil {
		return found, err
	}
	found.ActiveAt, found.DeletedAt = instant(active), optionalInstant(deleted)
	if found.Group, err = row.group(); err != nil {
		err = fmt.Errorf("read group %s: %w", row.g.ID, err)
	}
	return found, err
}
