package sqlstore

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/audit/sqlaudit"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

// receiptStatements returns the statements that store and read a receipt. keep changes no
// row if there is a receipt that has not expired.
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
	key := receiptKey(r.UserID, r.Key)
	n, err := affect(ctx, t.q, t.sql.keep, r.UserID, key, r.Request, string(r.Answer))
	switch {
	case err != nil:
		return fmt.Errorf("keep the receipt: %w", err)
	case n == 0:
		return group.ErrReceipted
	}
	var rows []args
	for _, userID := range named(r.Answer) {
		if userID != r.UserID && storable(userID) {
			rows = append(rows, args{userID, r.UserID, key})
		}
	}
	if err := t.sql.keepNamed.split(rows, t.exec(ctx)); err != nil {
		return fmt.Errorf("note whom the receipt names: %w", err)
	}
	return nil
}

// receiptKey returns the stored form of a user's key. It does not contain the key itself,
// which may contain any user's id.
func receiptKey(userID, key string) string {
	sum := sha256.Sum256([]byte(userID + "\x00" + key))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// kept holds the fields of answers that contain users' ids. Other fields are ignored,
// because an id may be equal to any text, such as a role.
type kept struct {
	UserID    string `json:"userId"`
	Actor     string `json:"actor"`
	OwnerID   string `json:"ownerId"`
	CreatedBy string `json:"createdBy"`
	Items     []struct {
		UserID string `json:"userId"`
	} `json:"items"`
	Invited []string `json:"invited"`
}

// named returns the user ids in an answer, each once.
func named(answer []byte) []string {
	var k kept
	_ = json.Unmarshal(answer, &k) // fields of other types hold no ids
	ids := slices.Concat(k.Invited, []string{k.UserID, k.Actor, k.OwnerID, k.CreatedBy})
	for _, item := range k.Items {
		ids = append(ids, item.UserID)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if ids[0] == "" {
		ids = ids[1:]
	}
	return ids
}

// Keep stores a receipt without a change.
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
		err := q.QueryRowContext(ctx, s.sql.receipt, userID, receiptKey(userID, key)).Scan(&request, &answer)
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
