package sqlstore

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

var _ group.Trimmer = (*Store)(nil)

const (
	// trimRows bounds one transaction of a trim, so that writers wait little.
	trimRows = 2000
	// feedAge is how long the feed may still read a deleted group's log.
	feedAge = 24 * time.Hour
)

// aged is a group whose log may be too long, or that was deleted.
type aged struct {
	id        string
	version   int64
	forgotten bool
}

// Trim removes old events, and groups that were deleted long ago.
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
	for i := 0; i < len(groups) && err == nil; i++ {
		if g := groups[i]; g.forgotten {
			err = s.forget(ctx, g.id)
		} else {
			err = s.trim(ctx, g, r)
		}
	}
	if err != nil {
		return "", doing(err, "trim the logs after group", after)
	}
	if len(groups) < limit {
		return "", nil
	}
	return groups[len(groups)-1].id, nil
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

func (s *Store) forget(ctx context.Context, groupID string) error {
	return s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		for _, text := range s.sql.forget {
			if _, err := q.ExecContext(ctx, text, groupID); err != nil {
				return err
			}
		}
		return nil
	})
}
