package sqlstore

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

const (
	blankReceipt  = `UPDATE receipts SET answer = 'null' WHERE user_id = $1 AND key = $2`
	noLongerNamed = `DELETE FROM receipt_users WHERE user_id = $1 AND owner = $2 AND key = $3`
)

// forgetUser removes what is kept about a user outside of groups.
var forgetUser = []string{
	`DELETE FROM renames WHERE user_id = $1`,
	`DELETE FROM user_locks WHERE user_id = $1 AND NOT EXISTS (SELECT 1 FROM members WHERE user_id = $1)`,
}

// ForgetReceipts implements [upkeep.Erasures]. It removes the user's own receipts, and
// empties other users' answers that name the user. Without its receipt, a repeated request
// would be carried out again.
func (s *Store) ForgetReceipts(ctx context.Context, userID string, limit int) (more bool, err error) {
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		n, err := affect(ctx, q, s.sql.erase.receipts, userID, limit)
		if err != nil {
			return err
		}
		naming, err := s.receiptsNaming(ctx, q, userID, limit)
		if err != nil {
			return err
		}
		for _, r := range naming {
			if slices.Contains(named(r.Answer), userID) {
				if _, err := q.ExecContext(ctx, blankReceipt, r.UserID, r.Key); err != nil {
					return err
				}
			}
			if _, err := q.ExecContext(ctx, noLongerNamed, userID, r.UserID, r.Key); err != nil {
				return err
			}
		}
		more = n == int64(limit) || len(naming) == limit
		return nil
	})
	return more, doing(err, "remove a user from receipts", "")
}

// receiptsNaming returns receipts whose answers may name the user. Their keys are in stored
// form.
func (s *Store) receiptsNaming(ctx context.Context, q database.Querier, userID string, limit int) (found []group.Receipt, err error) {
	err = each(ctx, q, s.sql.erase.named, args{userID, limit}, func(scan scanner) error {
		var (
			r      group.Receipt
			answer string
		)
		err := scan(&r.UserID, &r.Key, &answer)
		r.Answer = json.RawMessage(answer)
		found = append(found, r)
		return err
	})
	return found, err
}

// ForgetUser implements [upkeep.Erasures].
func (s *Store) ForgetUser(ctx context.Context, userID string) error {
	err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		for _, text := range forgetUser {
			if _, err := q.ExecContext(ctx, text, userID); err != nil {
				return err
			}
		}
		return nil
	})
	return doing(err, "forget a user", "")
}
