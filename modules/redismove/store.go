package redismove

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/redisrole"
)

// lease is how long a node or an operator counts as alive after its last report.
const lease = 10 * time.Second

// store keeps moves and nodes in SQL.
type store struct{ db *database.DB }

func (s store) now() string { return s.db.Dialect().Now() }

const moveColumns = `role, id, phase, source, target, source_url, target_url`

// list reads all rows of a query.
func list[T any](ctx context.Context, s store, doing, query string, read func(scan func(...any) error) (T, error)) (all []T, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		all = nil
		rows, err := q.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // Err returns errors
		for rows.Next() {
			row, err := read(rows.Scan)
			if err != nil {
				return err
			}
			all = append(all, row)
		}
		return rows.Err()
	})
	return all, wrap(err, doing)
}

// moves returns the latest move of every role that ever moved.
func (s store) moves(ctx context.Context) ([]Move, error) {
	return list(ctx, s, "read the moves", `SELECT `+moveColumns+` FROM redis_moves ORDER BY role`, func(scan func(...any) error) (m Move, err error) {
		err = scan(&m.Role, &m.ID, &m.Phase, &m.Source, &m.Target, &m.sourceURL, &m.targetURL)
		return m, err
	})
}

// Moves returns the latest move of every role that ever moved.
func Moves(ctx context.Context, db *database.DB) (map[redisrole.Role]Move, error) {
	moves, err := store{db}.moves(ctx)
	byRole := make(map[redisrole.Role]Move, len(moves))
	for _, m := range moves {
		byRole[m.Role] = m
	}
	return byRole, err
}

// report records that a node is alive, and which phases it has reached.
func (s store) report(ctx context.Context, node string, by map[redisrole.Role]reached) error {
	text, err := json.Marshal(by)
	if err != nil {
		return err
	}
	return s.write(ctx, "report", `INSERT INTO redis_nodes (node, seen_at, reached) VALUES ($1, `+s.now()+`, $2)
		ON CONFLICT (node) DO UPDATE SET seen_at = excluded.seen_at, reached = excluded.reached`, node, string(text))
}

// leave removes a node that stops, and nodes that died long ago.
func (s store) leave(ctx context.Context, node string) error {
	return s.write(ctx, "leave", fmt.Sprintf(`DELETE FROM redis_nodes WHERE node = $1 OR seen_at < (SELECT %s) - %d`,
		s.now(), (6*lease).Microseconds()), node)
}

func (s store) write(ctx context.Context, doing, query string, a ...any) error {
	err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, query, a...)
		return err
	})
	return wrap(err, doing)
}

// node is a live node.
type node struct {
	id      string
	silent  time.Duration // since its last report
	reached map[redisrole.Role]reached
}

// nodes returns the live nodes.
func (s store) nodes(ctx context.Context) ([]node, error) {
	query := fmt.Sprintf(`SELECT node, (SELECT %[1]s) - seen_at, reached FROM redis_nodes
		WHERE seen_at >= (SELECT %[1]s) - %[2]d ORDER BY node`, s.now(), lease.Microseconds())
	return list(ctx, s, "list the nodes", query, func(scan func(...any) error) (n node, err error) {
		var (
			silent int64
			text   string
		)
		if err := scan(&n.id, &silent, &text); err != nil {
			return n, err
		}
		n.silent = time.Duration(silent) * time.Microsecond
		if err := json.Unmarshal([]byte(text), &n.reached); err != nil {
			return n, fmt.Errorf("decode the report of node %s: %w", n.id, err)
		}
		return n, nil
	})
}

// errOther is returned while another operator is moving the role.
var errOther = errors.New("another operator is moving this role: wait until they are done, or for 10 s after their command ended")

// begin replaces the role's last move by a new one. before is the id of the last one, or
// empty if there is none.
func (s store) begin(ctx context.Context, m Move, before, operator string) error {
	return s.one(ctx, "begin the move", fmt.Sprintf(`INSERT INTO redis_moves (`+moveColumns+`, operator, operator_until)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, %[1]s + %[2]d)
		ON CONFLICT (role) DO UPDATE SET id = excluded.id, phase = excluded.phase, source = excluded.source, target = excluded.target,
			source_url = excluded.source_url, target_url = excluded.target_url,
			operator = excluded.operator, operator_until = excluded.operator_until
		WHERE redis_moves.id = $9 AND (redis_moves.operator = $8 OR redis_moves.operator_until < %[1]s)`, s.now(), lease.Microseconds()),
		string(m.Role), m.ID, int(m.Phase), m.Source, m.Target, m.sourceURL, m.targetURL, operator, before)
}

// lead sets a move's phase and renews the operator's lease.
func (s store) lead(ctx context.Context, m Move, operator string) error {
	return s.one(ctx, "lead the move", fmt.Sprintf(`UPDATE redis_moves SET phase = $3, operator = $4, operator_until = %[1]s + %[2]d
		WHERE role = $1 AND id = $2 AND (operator = $4 OR operator_until < (SELECT %[1]s))`, s.now(), lease.Microseconds()),
		string(m.Role), m.ID, int(m.Phase), operator)
}

// rest ends the operator's lease.
func (s store) rest(ctx context.Context, m Move, operator string) error {
	return s.write(ctx, "end the operator's lease", `UPDATE redis_moves SET operator_until = 0 WHERE role = $1 AND id = $2 AND operator = $3`,
		string(m.Role), m.ID, operator)
}

// one runs a statement that must change one row. It changes none if another operator holds
// the lease.
func (s store) one(ctx context.Context, doing, query string, a ...any) error {
	var n int64
	err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		result, err := q.ExecContext(ctx, query, a...)
		if err != nil {
			return err
		}
		n, err = result.RowsAffected()
		return err
	})
	if err == nil && n == 0 {
		return errOther
	}
	return wrap(err, doing)
}

func wrap(err error, doing string) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("redismove: %s: %w", doing, err)
}
