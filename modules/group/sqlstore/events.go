package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
)

const (
	// setData replaces the data of an event. Triggers count the bytes of the log.
	setData = `UPDATE events SET data = $3 WHERE group_id = $1 AND version = $2`
	// messages reads the messages of a group by their index. For a group without messages
	// it returns one row.
	messages = `SELECT ` + eventColumns + ` FROM groups g
		LEFT JOIN (SELECT * FROM events WHERE group_id = $1 AND type = 'message.posted' AND version < $2 ORDER BY version DESC LIMIT $3) e ON TRUE
		WHERE g.id = $1 AND g.deleted_at IS NULL ORDER BY e.version DESC`
)

// Messages lists the messages of a group, newest first.
func (s *Store) Messages(ctx context.Context, groupID string, before int64, limit int) (events []group.Event, err error) {
	if !storable(groupID) {
		return nil, fault.ErrNotFound
	}
	err = s.db.View(ctx, func(ctx context.Context, q database.Querier) error {
		events = []group.Event{}
		known, from := false, before
		err := inChunks(limit, func(l *listing, rows int) error {
			return l.each(ctx, q, messages, args{groupID, from, rows}, func(scan scanner) error {
				var row eventRow
				err := scan(row.fields()...)
				known = true
				if err == nil && row.version.Valid {
					events, from = append(events, row.event(groupID)), row.version.Int64
				}
				return err
			})
		})
		if err == nil && !known {
			return fault.ErrNotFound
		}
		return err
	})
	return events, doing(err, "list the messages of group", groupID)
}

// Event reads and locks an event of the log.
func (t *tx) Event(ctx context.Context, version int64) (*group.Event, error) {
	var row eventRow
	err := t.q.QueryRowContext(ctx, t.sql.event, t.g.ID, version).Scan(row.fields()...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil //nolint:nilnil // the contract's word for "not in the log"
	}
	if err != nil {
		return nil, fmt.Errorf("read event %d: %w", version, err)
	}
	e := row.event(t.g.ID)
	return &e, nil
}

// SetData replaces the data of an event of the log.
func (t *tx) SetData(ctx context.Context, version int64, data json.RawMessage) error {
	n, err := affect(ctx, t.q, setData, t.g.ID, version, string(data))
	if err == nil && n != 1 {
		err = errors.New("the log does not hold it")
	}
	if err != nil {
		return fmt.Errorf("replace the data of event %d: %w", version, err)
	}
	return nil
}
