package database

import (
	"context"
	"database/sql"
	"fmt"
	"time"
)

const (
	// checkpointFor is how long Stop waits for transactions that still read.
	// It is longer than any call takes.
	checkpointFor   = 6 * time.Second
	checkpointEvery = 50 * time.Millisecond
)

// checkpoint moves the write-ahead log into the database's file and empties it,
// so that the file alone is the whole database. It tries again while a
// transaction reads what the log holds, until shortly before ctx ends.
func checkpoint(ctx context.Context, writing *sql.DB) error {
	within := checkpointFor
	if deadline, ok := ctx.Deadline(); ok {
		within = min(within, time.Until(deadline)*9/10) // the rest is for closing the file, and to log a failure
	}
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for {
		var busy, pages, moved int
		err := writing.QueryRowContext(ctx, "PRAGMA wal_checkpoint(TRUNCATE)").Scan(&busy, &pages, &moved)
		if err != nil || busy == 0 {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("a transaction still reads it: %w", ctx.Err())
		}
	}
}
