package sqlstore

import (
	"context"
	"fmt"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

// mark is a member's read mark: a version, and the number of messages up to it.
type mark struct{ version, messages int64 }

// markReadStatement moves the mark of member $2 forward to version $3. If the log no longer
// has that event, the number of messages comes from the oldest event.
func markReadStatement() string {
	return fmt.Sprintf(`UPDATE members SET read_version = $3, read_messages = COALESCE((
			SELECT messages - CASE WHEN version > $3 AND type = '%s' THEN 1 ELSE 0 END
			FROM events WHERE group_id = $1 AND version >= $3 ORDER BY version LIMIT 1), read_messages)
		WHERE group_id = $1 AND user_id = $2 AND read_version < $3`, group.MessagePosted)
}

// unread counts the unread messages of member m of group g: the messages after the mark,
// without deleted ones. It looks for deleted messages only if there is one after the mark,
// and counts at most 1,000.
const unread = `g.messages - m.read_messages - CASE WHEN g.last_deleted > m.read_version THEN
	(SELECT COUNT(*) FROM (SELECT 1 FROM events WHERE group_id = m.group_id AND version > m.read_version AND deleted LIMIT 1000) found)
	ELSE 0 END`

// deleteMessage and noteDeleted subtract a message from the number of unread messages.
const (
	deleteMessage = `UPDATE events SET deleted = TRUE WHERE group_id = $1 AND version = $2`
	noteDeleted   = `UPDATE groups SET last_deleted = $2 WHERE id = $1 AND last_deleted < $2`
)

// MarkRead moves a member's read mark forward. It does not wait for other changes of the
// group.
func (s *Store) MarkRead(ctx context.Context, groupID, userID string, version int64) (moved bool, err error) {
	if !storable(groupID) || !storable(userID) {
		return false, nil // no such member
	}
	err = s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		n, err := affect(ctx, q, s.sql.markRead, groupID, userID, version)
		moved = n > 0
		return err
	})
	return moved, doing(err, "mark as read in group", groupID)
}

// Uncount subtracts a deleted message from the number of unread messages.
func (t *tx) Uncount(ctx context.Context, version int64) error {
	for _, text := range []string{deleteMessage, noteDeleted} {
		if _, err := t.q.ExecContext(ctx, text, t.g.ID, version); err != nil {
			return fmt.Errorf("uncount message %d: %w", version, err)
		}
	}
	return nil
}

// MarkRead moves a member's mark to the last event.
func (t *tx) MarkRead(userID string) {
	if storable(userID) {
		t.reader = userID
	}
}

// readAll moves the reader's mark to the last event.
func (t *tx) readAll(ctx context.Context) error {
	if t.reader == nil {
		return nil
	}
	_, err := t.q.ExecContext(ctx, t.sql.markRead, t.g.ID, t.reader, t.g.Version)
	return err
}

// messagesAt returns the group's number of messages up to event i of this change.
func (t *tx) messagesAt(i int) int64 {
	n := t.messages
	for _, e := range t.events[i+1:] {
		if e.Type == group.MessagePosted {
			n--
		}
	}
	return n
}
