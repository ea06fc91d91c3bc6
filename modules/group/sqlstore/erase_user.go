package sqlstore

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moim-live/moim/modules/database"
)

const (
	// A repeat of the request then gets an empty answer; without the receipt it would do
	// again what it did.
	blankReceipt  = `UPDATE receipts SET answer = 'null' WHERE user_id = $1 AND key = $2`
	forgetReceipt = `DELETE FROM receipts WHERE user_id = $1 AND key = $2`
)

// forgetUser removes what is kept about a user outside of groups.
var forgetUser = []string{
	`DELETE FROM renames WHERE user_id = $1`,
	`DELETE FROM user_locks WHERE user_id = $1 AND NOT EXISTS (SELECT 1 FROM members WHERE user_id = $1)`,
}

// ForgetReceipts implements [group.Erasures]. The user's own receipts, and those whose key
// names the user, are removed. Answers that name the user become empty.
func (s *Store) ForgetReceipts(ctx context.Context, userID, after string, limit int) (next string, err error) {
	from := [2]string{}
	if after != "" {
		if err := json.Unmarshal([]byte(after), &from); err != nil {
			return "", fmt.Errorf("decode a place among the receipts: %w", err)
		}
	}
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		last, rows := from, 0
		changes := make(map[[2]string]string)
		err := each(ctx, q, s.sql.erase.receipts, args{from[0], from[1], limit}, func(scan scanner) error {
			var answer string
			if err := scan(&last[0], &last[1], &answer); err != nil {
				return err
			}
			rows++
			switch {
			case last[0] == userID || mentions(last[1], userID):
				changes[last] = forgetReceipt
			case names(answer, userID):
				changes[last] = blankReceipt
			}
			return nil
		})
		if err != nil {
			return err
		}
		for of, text := range changes {
			if _, err := q.ExecContext(ctx, text, of[0], of[1]); err != nil {
				return err
			}
		}
		next = ""
		if rows == limit {
			place, err := json.Marshal(last)
			next = string(place)
			return err
		}
		return nil
	})
	return next, doing(err, "remove a user from receipts", "")
}

// kept is what answers have of users. Their other fields are not compared: an id may be
// equal to any text, such as a role.
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

// names reports whether an answer has the user's id in a field for ids.
func names(answer, userID string) bool {
	var k kept
	_ = json.Unmarshal([]byte(answer), &k) // fields of other types hold no ids
	for _, item := range k.Items {
		if item.UserID == userID {
			return true
		}
	}
	return slices.Contains(append(k.Invited, k.UserID, k.Actor, k.OwnerID, k.CreatedBy), userID)
}

// ForgetUser implements [group.Erasures].
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

// mentions reports whether a text has the id as a word of its own.
func mentions(text, id string) bool {
	for from := 0; ; {
		at := strings.Index(text[from:], id)
		if at < 0 {
			return false
		}
		before, after := text[:from+at], text[from+at+len(id):]
		left, _ := utf8.DecodeLastRuneInString(before)
		right, _ := utf8.DecodeRuneInString(after)
		if (before == "" || !inWord(left)) && (after == "" || !inWord(right)) {
			return true
		}
		_, size := utf8.DecodeRuneInString(text[from+at:])
		from += at + size
	}
}

func inWord(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
