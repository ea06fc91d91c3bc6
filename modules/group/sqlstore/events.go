package sqlstore

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/moim-live/moim/modules/group"
)

// setData replaces the data of an event. Triggers count the bytes of the log.
const setData = `UPDATE events SET data = $3 WHERE group_id = $1 AND version = $2`

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
