package database

import (
	"context"
	"database/sql/driver"
	"errors"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// maxAhead and maxAheadBytes limit the rows of a query that are read ahead. The last row
// may exceed the bytes.
const (
	maxAhead      = 100
	maxAheadBytes = 64 << 10
)

// rows are the rows of a query. If the context can end, rows are read ahead in groups,
// because watching the context costs a statement.
type rows struct {
	driver.Rows
	ctx   context.Context //nolint:containedctx // lives as long as the rows
	conn  *conn
	query string
	stmt  innerStmt
	ahead [][]driver.Value
	err   error // returned by Next after the rows that were read ahead
}

func (r *rows) Next(dest []driver.Value) error {
	if r.ctx.Done() == nil {
		return r.next(dest)
	}
	if len(r.ahead) == 0 && r.err == nil {
		err := r.watched(func() error {
			r.readAhead()
			return nil
		})
		if err != nil {
			return err
		}
	}
	if len(r.ahead) == 0 {
		return ended(r.ctx, r.err)
	}
	copy(dest, r.ahead[0])
	r.ahead = r.ahead[1:]
	return nil
}

func (r *rows) next(dest []driver.Value) error {
	return r.conn.guard("", func() error { return r.Rows.Next(dest) })
}

func (r *rows) readAhead() {
	for size := 0; len(r.ahead) < maxAhead && size < maxAheadBytes; {
		row := make([]driver.Value, len(r.Columns()))
		if r.err = r.next(row); r.err != nil {
			return
		}
		r.ahead = append(r.ahead, row)
		for _, value := range row {
			switch value := value.(type) {
			case string:
				size += len(value)
			case []byte:
				size += len(value)
			}
		}
	}
}

func (r *rows) watched(run func() error) error {
	return ended(r.ctx, r.conn.interruptible(r.ctx, run))
}

// ended returns ctx's error instead of err if the query was interrupted because ctx ended.
func ended(ctx context.Context, err error) error {
	if e, ok := errors.AsType[*sqlite.Error](err); ok && e.Code()&0xff == sqlite3.SQLITE_INTERRUPT && ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (r *rows) Close() error {
	defer r.conn.give(r.query, r.stmt)
	return r.Rows.Close()
}
