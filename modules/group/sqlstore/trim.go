package sqlstore

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

var _ group.Trimmer = (*Store)(nil)

const (
	// trimRows bounds one transaction of a trim, so that writers wait little.
	trimRows = 500
	// feedAge is how long the feed may still read a deleted group's log.
	feedAge = 24 * time.Hour
)

// aged is a group whose log may be too long, or that was deleted.
type aged struct {
	id        string
	version   int64
	forgotten bool
}

// Trim removes old events, and groups that were deleted long ago. A group that
// fails keeps no other from being looked at.
func (s *Store) Trim(ctx context.Context, r group.Retention, after string, limit int) (next string, err error) {
	var groups []aged
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		groups = nil
		return each(ctx, q, s.sql.aged, args{after, r.Count, max(r.Age, feedAge).Microseconds(), limit}, func(scan scanner) error {
			var g aged
			err := scan(&g.id, &g.version, &g.forgotten)
			groups = append(groups, g)
			return err
		})
	})
	if err != nil {
		return "", doing(err, "find logs that are too long after group", after)
	}
	var failed []error
	for _, g := range groups {
		if g.forgotten {
			err = s.forget(ctx, g.id)
		} else {
			err = s.trim(ctx, g, r)
		}
		if err != nil {
			failed = append(failed, fmt.Errorf("trim the log of group %s: %w", g.id, err))
		}
		if ctx.Err() != nil {
			return "", errors.Join(failed...)
		}
	}
	if len(groups) == limit {
		next = groups[limit-1].id
	}
	return next, errors.Join(failed...)
}

// trim removes a group's old events, some in each transaction. Their times
// rise with their versions.
func (s *Store) trim(ctx context.Context, g aged, r group.Retention) error {
	for {
		var last int64
		var rows int
		err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
			err := q.QueryRowContext(ctx, s.sql.trimmable, g.id, g.version-int64(r.Count), r.Age.Microseconds(), trimRows).Scan(&last, &rows)
			if err != nil || rows == 0 {
				return err
			}
			_, err = q.ExecContext(ctx, s.sql.trim, g.id, last)
			return err
		})
		if err != nil || rows < trimRows {
			return err
		}
	}
}

// forget removes a deleted group, some rows in each transaction.
func (s *Store) forget(ctx context.Context, groupID string) error {
	for _, text := range s.sql.forget {
		for removed := int64(trimRows); removed == trimRows; {
			err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
				result, err := q.ExecContext(ctx, text, groupID, trimRows)
				if err != nil {
					return err
				}
				removed, err = result.RowsAffected()
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, s.sql.forgetGroup, groupID)
		return err
	})
}

// forgetStatements remove what belongs to a group, at most $2 rows each.
func forgetStatements() []string {
	var texts []string
	for _, of := range []struct{ table, key string }{
		{"outbox", "version"},
		{"events", "version"},
		{"members", "user_id"},
		{"bans", "user_id"},
		{"requests", "user_id"},
		{"invites", "id"},
	} {
		texts = append(texts, fmt.Sprintf(`DELETE FROM %[1]s WHERE group_id = $1 AND %[2]s IN
			(SELECT %[2]s FROM %[1]s WHERE group_id = $1 LIMIT $2)`, of.table, of.key))
	}
	return texts
}
