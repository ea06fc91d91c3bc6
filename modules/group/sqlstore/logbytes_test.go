package sqlstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/group/upkeep"
)

// number returns the result of a query for one number.
func number(t *testing.T, db *database.DB, query string, a ...any) (n int64) {
	t.Helper()
	err := db.View(t.Context(), func(ctx context.Context, q database.Querier) error {
		return q.QueryRowContext(ctx, query, a...).Scan(&n)
	})
	if err != nil {
		t.Fatalf("%s: %v", query, err)
	}
	return n
}

// postText posts a message of the given length.
func postText(t *testing.T, s *sqlstore.Store, groupID string, length int) {
	t.Helper()
	_, err := s.Change(t.Context(), groupID, "", func(tx group.Tx) error {
		_, err := tx.Append(t.Context(), group.MessagePosted, "alice", strings.Repeat("é", length/2))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// trimAll makes all groups due and trims them.
func trimAll(t *testing.T, db *database.DB, s *sqlstore.Store, keep upkeep.Retention) {
	t.Helper()
	exec(t, db, `UPDATE heads SET due_at = 0`)
	for more, rounds := true, 0; more; rounds++ {
		var err error
		if more, err = s.Trim(t.Context(), keep, 10); err != nil || rounds > 20 {
			t.Fatalf("round %d: %v", rounds, err)
		}
	}
}

// TestBytesOfLogsHold checks that the stored size of a log is the size of its counted
// events, however events are appended, replaced or removed.
func TestBytesOfLogsHold(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		s, random := sqlstore.New(db), rand.New(rand.NewPCG(1, 2))
		ids := []string{create(t, s), create(t, s), create(t, s)}
		counted := int64(0)
		for i := range 150 {
			id := ids[random.IntN(len(ids))]
			switch random.IntN(12) {
			case 0:
				trimAll(t, db, s, upkeep.Retention{Count: 1000, Age: time.Hour, Bytes: 10_000})
			case 1:
				trimAll(t, db, s, upkeep.Retention{Count: 7, Bytes: 1 << 40})
			case 2:
				exec(t, db, `UPDATE events SET data = '"é"' WHERE group_id = $1 AND version % 3 = 0`, id)
			case 3: // as an older version or an operator may do
				exec(t, db, `DELETE FROM events WHERE version <= $1 AND version < (SELECT version FROM groups WHERE id = group_id)`, i/3)
			default:
				postText(t, s, id, random.IntN(2000))
			}
			counted = max(counted, number(t, db, `SELECT MIN(counted) FROM heads`))
			wrong := number(t, db, `SELECT COUNT(*) FROM heads h WHERE bytes <> COALESCE((SELECT SUM(octet_length(data) + 100)
				FROM events WHERE group_id = h.group_id AND version <= h.counted), 0)`)
			if wrong > 0 {
				t.Fatalf("after step %d, %d groups have a wrong number of bytes", i, wrong)
			}
		}
		if counted == 0 {
			t.Error("no events were counted")
		}
	})
}

// TestEventsAreCountedOnce checks that sweeps read each event at most once to count it.
// They read none while the log cannot be too large.
func TestEventsAreCountedOnce(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		var read []int64 // the version after which each read began
		s := sqlstore.New(db)
		watched := s.Watch(func(text string, a []any) {
			if strings.Contains(text, "SUM(bytes)") {
				after, _ := a[1].(int64)
				read = append(read, after)
			}
		})
		id := create(t, s)
		sweep := func(want ...int64) {
			t.Helper()
			read = nil
			trimAll(t, db, watched, upkeep.Retention{Count: 1000, Age: time.Hour, Bytes: 300_000})
			if !slices.Equal(read, want) {
				t.Errorf("events after %v were counted, want %v", read, want)
			}
		}
		for range 3 {
			postText(t, s, id, 1000)
		}
		sweep() // the four events have less than 300,000 bytes
		for range 6 {
			postText(t, s, id, 1000)
		}
		sweep(0)
		sweep()
		for range 5 {
			postText(t, s, id, 40_000)
		}
		sweep(10)
		sweep()
		if n := number(t, db, `SELECT COUNT(*) FROM events`); n != 15 {
			t.Errorf("%d of 15 events are left, although all fit", n)
		}
	})
}

// TestOldLogsAreTrimmed trims a log from before the limit on bytes existed, although
// nothing happens in its group.
func TestOldLogsAreTrimmed(t *testing.T) {
	t.Parallel()
	servicetest.OnBothURLs(t, func(t *testing.T, url string) {
		keep := upkeep.Retention{Count: 1000, Age: time.Hour}
		db := migrated(t, url, 18, func(t *testing.T, db *database.DB) {
			t.Helper()
			s := sqlstore.New(db)
			id := create(t, s)
			for range 40 {
				postText(t, s, id, 10_000)
			}
			trimAll(t, db, s, keep)
		})
		exec(t, db, `UPDATE sweeps SET until = 0`) // the earlier node has stopped
		keep.Bytes = 200_000
		s := sqlstore.New(db)
		for more, rounds := true, 0; more; rounds++ {
			var err error
			if more, err = s.Trim(t.Context(), keep, 10); err != nil || rounds > 20 {
				t.Fatalf("round %d: %v", rounds, err)
			}
		}
		if n := number(t, db, `SELECT COUNT(*) FROM events`); n != 18 {
			t.Errorf("%d events are left, want 18", n)
		}
	})
}

// TestBytesOfABusyLog counts and trims a log while members post and events are replaced. No
// call may fail, and the count must be correct.
func TestBytesOfABusyLog(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		ctx, s := t.Context(), sqlstore.New(db)
		id := create(t, s)
		var all sync.WaitGroup
		for range 4 {
			all.Go(func() {
				for range 60 {
					_, err := s.Change(ctx, id, "", func(tx group.Tx) error {
						_, err := tx.Append(ctx, group.MessagePosted, "alice", json.RawMessage(`"`+sentence+sentence+`"`))
						return err
					})
					if err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		stop := make(chan struct{})
		var others sync.WaitGroup
		for _, do := range []func(i int) error{
			func(int) error {
				err := db.Write(ctx, func(ctx context.Context, q database.Querier) error {
					_, err := q.ExecContext(ctx, `UPDATE heads SET due_at = 0`)
					return err
				})
				_, trimErr := s.Trim(ctx, upkeep.Retention{Count: 1000, Age: time.Hour, Bytes: 20_000}, 10)
				return errors.Join(err, trimErr)
			},
			func(i int) error {
				_, err := s.Change(ctx, id, "", func(tx group.Tx) error { return nil })
				return errors.Join(err, db.Write(ctx, func(ctx context.Context, q database.Querier) error {
					_, err := q.ExecContext(ctx, `UPDATE events SET data = '"edited"' WHERE group_id = $1 AND version = $2`, id, i)
					return err
				}))
			},
		} {
			others.Go(func() {
				for i := 1; ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					if err := do(i % 250); err != nil {
						t.Error(err)
						return
					}
				}
			})
		}
		all.Wait()
		close(stop)
		others.Wait()
		trimAll(t, db, s, upkeep.Retention{Count: 1000, Age: time.Hour, Bytes: 20_000})
		bytes := number(t, db, `SELECT bytes FROM heads`)
		if sum := number(t, db, `SELECT SUM(octet_length(data) + 100) FROM events`); sum != bytes || sum > 20_000 {
			t.Errorf("the log has %d bytes, but the stored size is %d", sum, bytes)
		}
		if n := number(t, db, `SELECT counted FROM heads`); n != 241 {
			t.Errorf("%d of 241 events are counted", n)
		}
	})
}

// testHeldReplace counts a log while a transaction that replaces an event is open.
func testHeldReplace(t *testing.T) {
	db := servicetest.OpenDatabase(t, servicetest.NewPostgres(t))
	s := sqlstore.New(db)
	id := create(t, s)
	for range 9 {
		postText(t, s, id, 1000)
	}
	counted := make(chan error, 1)
	err := db.Write(t.Context(), func(ctx context.Context, q database.Querier) error {
		if _, err := q.ExecContext(ctx, `UPDATE events SET data = '"short"' WHERE version = 5`); err != nil {
			return err
		}
		go func() {
			_, err := s.Trim(t.Context(), upkeep.Retention{Count: 1000, Age: time.Hour, Bytes: 20_000}, 10)
			counted <- err
		}()
		waittest.Until(t, "the sweep has counted, or waits for a lock", func() bool {
			return number(t, db, `SELECT bytes FROM heads`) > 0 ||
				number(t, db, `SELECT COUNT(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'`) > 0
		})
		return nil
	})
	if err := errors.Join(err, <-counted); err != nil {
		t.Fatal(err)
	}
	bytes := number(t, db, `SELECT bytes FROM heads`)
	if sum := number(t, db, `SELECT SUM(octet_length(data) + 100) FROM events`); sum != bytes {
		t.Errorf("the log has %d bytes, but the stored size is %d", sum, bytes)
	}
}
