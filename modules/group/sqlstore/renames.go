package sqlstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/audit/sqlaudit"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/upkeep"
)

var _ upkeep.Renames = (*Store)(nil)

const renameColumns = `user_id, id, name, actor, before`

// renameStatements store the jobs that rename users. A job is free once its claim has
// expired.
type renameStatements struct{ set, read, free, claim, advance, finish string }

// namedIn lists groups that have a user's name. It reads at most limit rows of each table.
const namedIn = `SELECT group_id FROM (
		SELECT * FROM (SELECT group_id FROM members WHERE user_id = $1 AND live = TRUE AND group_id < $2 ORDER BY group_id DESC LIMIT $3) joined
		UNION SELECT * FROM (SELECT group_id FROM requests WHERE user_id = $1 AND group_id < $2 ORDER BY group_id DESC LIMIT $3) asked) named
	ORDER BY group_id DESC LIMIT $3`

func newRenameStatements(d database.Dialect) renameStatements {
	now := d.Now()
	claimed := fmt.Sprintf("%s + %d", now, upkeep.RenameClaim.Microseconds())
	return renameStatements{
		set: `INSERT INTO renames (` + renameColumns + `, until) VALUES ($1, $2, $3, $4, $5, 0)
			ON CONFLICT (user_id) DO UPDATE SET
			id = CASE WHEN renames.name = excluded.name THEN renames.id ELSE excluded.id END,
			before = CASE WHEN renames.name = excluded.name THEN renames.before ELSE '' END,
			until = CASE WHEN renames.name = excluded.name THEN renames.until ELSE 0 END,
			actor = excluded.actor, name = excluded.name RETURNING id`,
		read: `SELECT ` + renameColumns + ` FROM renames WHERE user_id = $1`,
		free: `SELECT COALESCE((SELECT MIN(until) FROM renames) < (SELECT ` + now + `), FALSE)`,
		claim: `UPDATE renames SET until = ` + claimed + ` WHERE ` +
			oneOf(d, "user_id", `FROM renames WHERE until < (SELECT `+now+`) ORDER BY until LIMIT 1`) + ` RETURNING ` + renameColumns,
		advance: `UPDATE renames SET before = $3, until = ` + claimed + ` WHERE user_id = $1 AND id = $2`,
		finish:  `DELETE FROM renames WHERE user_id = $1 AND id = $2`,
	}
}

// renameOf reads a job, or returns nil if there is none.
func renameOf(row *sql.Row) (*group.Rename, error) {
	var r group.Rename
	err := row.Scan(&r.UserID, &r.ID, &r.Name, &r.Actor, &r.Before)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // the contract's word for "no job"
	}
	return &r, err
}

// SetRename implements [group.Renames].
func (s *Store) SetRename(ctx context.Context, r group.Rename, recorded ...audit.Entry) (id string, err error) {
	if !storable(r.UserID) || !storable(r.Name) {
		return "", errNoText
	}
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		err := q.QueryRowContext(ctx, s.sql.renames.set, r.UserID, r.ID, r.Name, r.Actor, r.Before).Scan(&id)
		if err != nil || id != r.ID {
			return err
		}
		return sqlaudit.Insert(ctx, q, recorded...)
	})
	return id, doing(err, "store the new name of user", r.UserID)
}

// NamedIn implements [upkeep.Renames].
func (s *Store) NamedIn(ctx context.Context, userID, before string, limit int) (groupIDs []string, err error) {
	if !storable(userID) || !storable(before) {
		return []string{}, nil
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		groupIDs = []string{}
		return each(ctx, q, namedIn, args{userID, upTo(before), limit}, func(scan scanner) error {
			var groupID string
			err := scan(&groupID)
			groupIDs = append(groupIDs, groupID)
			return err
		})
	})
	return groupIDs, doing(err, "list the groups with the name of user", userID)
}

// Renaming implements [group.RenameTx].
func (t *tx) Renaming(ctx context.Context, userID string) (*group.Rename, error) {
	if !storable(userID) {
		return nil, nil //nolint:nilnil // the contract's word for "no job"
	}
	r, err := renameOf(t.q.QueryRowContext(ctx, t.sql.renames.read, userID))
	if err != nil {
		return nil, fmt.Errorf("read the new name of %s: %w", userID, err)
	}
	return r, nil
}

// ClaimRename implements [upkeep.Renames]. It reads before it writes, because there is
// rarely a job.
func (s *Store) ClaimRename(ctx context.Context) (r *group.Rename, err error) {
	free := false
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		return q.QueryRowContext(ctx, s.sql.renames.free).Scan(&free)
	})
	if err == nil && free {
		err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) (err error) {
			r, err = renameOf(q.QueryRowContext(ctx, s.sql.renames.claim))
			return err
		})
	}
	return r, doing(err, "claim a new name", "")
}

// AdvanceRename implements [upkeep.Renames].
func (s *Store) AdvanceRename(ctx context.Context, r group.Rename) (current bool, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		n, err := affect(ctx, q, s.sql.renames.advance, r.UserID, r.ID, r.Before)
		current = n > 0
		return err
	})
	return current, doing(err, "go on with the new name of user", r.UserID)
}

// FinishRename implements [upkeep.Renames].
func (s *Store) FinishRename(ctx context.Context, r group.Rename) error {
	err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, s.sql.renames.finish, r.UserID, r.ID)
		return err
	})
	return doing(err, "finish the new name of user", r.UserID)
}
