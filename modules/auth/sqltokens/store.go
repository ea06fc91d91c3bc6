// Package sqltokens keeps revocations of tokens in SQL. [Store] implements
// [auth.RevocationStore].
package sqltokens

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/audit/sqlaudit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/database"
)

// overlap is how far back each read reaches again, because a revocation is committed some
// time after its timestamp. A statement takes at most five seconds.
const overlap = 10 * time.Second

// Store keeps revocations. Its methods may be called concurrently.
type Store struct {
	db                            *database.DB
	revoke, list, forget, conceal string
	key                           atomic.Pointer[[]byte] // key of pseudonyms; nil before its first use
}

var _ auth.RevocationStore = (*Store)(nil)

// New returns a store in db.
func New(db *database.DB) *Store {
	now := db.Dialect().Now()
	return &Store{
		db: db,
		revoke: `INSERT INTO revocations (user_id, before_at, at) VALUES ($1, $2, ` + now + `)
			ON CONFLICT (user_id) DO UPDATE SET before_at = excluded.before_at, at = excluded.at
			WHERE revocations.before_at < excluded.before_at`,
		list: `SELECT user_id, before_at, at FROM revocations WHERE at >= $1
			UNION ALL SELECT '', 0, ` + now, // a last row with the time of the read
		forget: `DELETE FROM revocations WHERE at < ` + now + ` - $1`,
		conceal: `INSERT INTO revocations (user_id, before_at, at) SELECT $2, before_at, ` + now + ` FROM revocations WHERE user_id = $1
			ON CONFLICT (user_id) DO UPDATE SET before_at = excluded.before_at, at = excluded.at
			WHERE revocations.before_at < excluded.before_at`,
	}
}

// uncover removes the revocation with the user's real id.
const uncover = `DELETE FROM revocations WHERE user_id = $1`

// Conceal implements [auth.RevocationStore].
func (s *Store) Conceal(ctx context.Context, userID string) error {
	pseudonym, err := s.Pseudonym(userID)
	if err != nil {
		return err
	}
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		if _, err := q.ExecContext(ctx, s.conceal, userID, pseudonym); err != nil {
			return err
		}
		_, err := q.ExecContext(ctx, uncover, userID)
		return err
	})
	return failed("conceal a revocation", err)
}

// Pseudonym implements [auth.RevocationStore]. Its key is derived from the deployment's
// secret, which is only in the database.
func (s *Store) Pseudonym(userID string) (string, error) {
	key := s.key.Load()
	if key == nil {
		made, err := s.db.Key("pseudonyms of erased users")
		if err != nil {
			return "", failed("make a pseudonym", err)
		}
		key = &made
		s.key.Store(key)
	}
	mac := hmac.New(sha256.New, *key)
	mac.Write([]byte(userID))
	return auth.PseudonymPrefix + hex.EncodeToString(mac.Sum(nil)), nil
}

// Revoke implements [auth.RevocationStore].
func (s *Store) Revoke(ctx context.Context, userID string, before time.Time, entries ...audit.Entry) error {
	err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		result, err := q.ExecContext(ctx, s.revoke, userID, before.UnixMicro())
		if err != nil {
			return err
		}
		if changed, err := result.RowsAffected(); err != nil || changed == 0 {
			return err
		}
		return sqlaudit.Insert(ctx, q, entries...)
	})
	return failed("revoke tokens", err)
}

// Forget implements [auth.RevocationStore].
func (s *Store) Forget(ctx context.Context, age time.Duration) error {
	err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, s.forget, age.Microseconds())
		return err
	})
	return failed("forget revocations", err)
}

// Revocations implements [auth.RevocationStore].
func (s *Store) Revocations(ctx context.Context, since time.Time) (list []auth.Revocation, next time.Time, err error) {
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		list = nil
		rows, err := q.QueryContext(ctx, s.list, since.UnixMicro())
		if err != nil {
			return err
		}
		defer func() { _ = rows.Close() }() // rows.Err reports errors
		for rows.Next() {
			var (
				userID     string
				before, at int64
			)
			if err := rows.Scan(&userID, &before, &at); err != nil {
				return err
			}
			if userID == "" {
				next = time.UnixMicro(at).Add(-overlap)
				continue
			}
			list = append(list, auth.Revocation{UserID: userID, Before: time.UnixMicro(before), At: time.UnixMicro(at)})
		}
		return rows.Err()
	})
	return list, next, failed("read revocations", err)
}

func failed(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", what, err)
}
