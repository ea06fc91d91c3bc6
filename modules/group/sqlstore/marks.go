package sqlstore

import (
	"context"
	"fmt"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
)

// mark is how far a member has read: a version, and the number of messages up to
// it.
type mark struct{ version, messages int64 }

// markReadStatement moves the mark of member $2 forward to version $3. When the log
// no longer has that event, the oldest event tells the number of messages before
// it.
func markReadStatement() string {
	return fmt.Sprintf(`UPDATE members SET read_version = $3, read_messages = COALESCE((
			SELECT messages - CASE WHEN version > $3 AND type = '%s' THEN 1 ELSE 0 END
			FROM events WHERE group_id = $1 AND version >= $3 ORDER BY version LIMIT 1), read_messages)
		WHERE group_id = $1 AND user_id = $2 AND read_version < $3`, group.MessagePosted)
}

// MarkRead moves a member's read mark forward. It does not wait for changes of the
// group.
func (s *Store) MarkRead(ctx context.Context, groupID, userID string, version int64) error {
	if !storable(groupID) || !storable(userID) {
		return nil // no such member
	}
	err := s.db.Write(ctx, func(ctx context.Context, q database.Querier) error {
		_, err := q.ExecContext(ctx, s.sql.markRead, groupID, userID, version)
		return err
	})
	return doing(err, "mark as read in group", groupID)
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
