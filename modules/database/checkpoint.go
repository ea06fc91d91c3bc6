package database

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/moim-live/moim/internal/tasks"
)

const (
	// checkpointFor is how long Stop waits for read transactions. It is longer
	// than any call takes.
	checkpointFor   = 6 * time.Second
	checkpointEvery = 50 * time.Millisecond
)

// checkpoint moves the write-ahead log into the database file and empties it.
// While a transaction still reads from the log, checkpoint tries again, until
// shortly before ctx ends.
func checkpoint(ctx context.Context, writing *sql.DB) error {
	timeout := checkpointFor
	if deadline, ok := ctx.Deadline(); ok {
		timeout = min(timeout, time.Until(deadline)*9/10) // leave time to close the file and to log a failure
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for {
		var busy, pages, moved int
		err := writing.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved)
		if err != nil || busy == 0 {
			return err
		}
		if !tasks.Pause(ctx, checkpointEvery) {
			return fmt.Errorf("a transaction still reads from it: %w", ctx.Err())
		}
	}
}
