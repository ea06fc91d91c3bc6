package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/audit/sqlaudit"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

// receiptStatements returns the statements that keep and read a receipt. keep
// changes no row when there is a receipt that is not too old.
func receiptStatements(now string) (keep, read string) {
	oldest := fmt.Sprintf("%s - %d", now, group.ReceiptAge.Microseconds())
	keep = `INSERT INTO receipts (user_id, key, request, answer, at) VALUES ($1, $2, $3, $4, ` + now + `)
		ON CONFLICT (user_id, key) DO UPDATE SET request = excluded.request, answer = excluded.answer, at = excluded.at
		WHERE receipts.at < ` + oldest
	read = `SELECT request, answer FROM receipts WHERE user_id = $1 AND key = $2 AND at >= ` + oldest
	return keep, read
}

// Keep stores a receipt.
func (t *tx) Keep(ctx context.Context, r group.Receipt) error {
	if !storable(r.UserID) || !storable(r.Key) {
		return errNoText
	}
	n, err := affect(ctx, t.q, t.sql.keep, r.UserID, r.Key, r.Request, string(r.Answer))
	switch {
	case err != nil:
		return fmt.Errorf("keep the receipt: %w", err)
	case n == 0:
		return group.ErrReceipted
	default:
		return nil
	}
}

// Keep stores a receipt that belongs to no change.
func (s *Store) Keep(ctx context.Context, r group.Receipt, recorded ...audit.Entry) error {
	err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		if err := (&tx{q: q, sql: &s.sql}).Keep(ctx, r); err != nil {
			return err
		}
		return sqlaudit.Insert(ctx, q, recorded...)
	})
	if errors.Is(err, group.ErrReceipted) {
		return group.ErrReceipted
	}
	return doing(err, "keep a receipt", "")
}

// Receipt returns the receipt for a key, or nil.
func (s *Store) Receipt(ctx context.Context, userID, key string) (r *group.Receipt, err error) {
	if !storable(userID) || !storable(key) {
		return nil, nil //nolint:nilnil // the contract's word for "none"
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		var request, answer string
		r = nil
		err := q.QueryRowContext(ctx, s.sql.receipt, userID, key).Scan(&request, &answer)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err == nil {
			r = &group.Receipt{UserID: userID, Key: key, Request: request, Answer: json.RawMessage(answer)}
		}
		return err
	})
	return r, doing(err, "read a receipt", "")
}
