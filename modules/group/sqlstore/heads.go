package sqlstore

import (
	"context"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

const (
	// maxHeadsOf is the maximum number of groups that Heads looks up by id. For more
	// groups, it reads all that changed lately.
	maxHeadsOf = 1000
	// headSlack is how much earlier than a group's moved_at that of its head may be.
	headSlack = time.Second
	// clockSlack is how far the database's clock may be behind another one.
	clockSlack = time.Hour
)

// headStatements read the heads that changed in the last $1 microseconds: all of them, or
// those of the groups $2.
func headStatements(d database.Dialect) (all, of string) {
	now := d.Now()
	// With the upper bound, the planner expects few rows and uses the index.
	moved := fmt.Sprintf(`h.moved_at > (SELECT %s) - $1 - %d AND h.moved_at < (SELECT %[1]s) + %d`,
		now, headSlack.Microseconds(), clockSlack.Microseconds())
	all = `SELECT h.group_id, (SELECT version FROM groups WHERE id = h.group_id) FROM heads h WHERE ` + moved
	of = `SELECT g.id, g.version FROM groups g WHERE g.id` + asked{d, "$2", false}.is() + ` AND g.moved_at > (SELECT ` + now + `) - $1`
	return all, of
}

// Heads returns groups whose version changed lately.
func (s *Store) Heads(ctx context.Context, window time.Duration, groupIDs []string) (heads []group.Head, err error) {
	text, a := s.sql.heads, args{window.Microseconds()}
	if len(groupIDs) > 0 && len(groupIDs) <= maxHeadsOf {
		list, err := textList(groupIDs)
		if err != nil {
			return nil, err
		}
		text, a = s.sql.headsOf, append(a, list)
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		heads = nil
		return each(ctx, q, text, a, func(scan scanner) error {
			var h group.Head
			err := scan(&h.GroupID, &h.Version)
			heads = append(heads, h)
			return err
		})
	})
	return heads, doing(err, "read the heads", "")
}
