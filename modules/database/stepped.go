package database

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"time"

	"github.com/pressly/goose/v3"
)

const (
	// stepsTable holds the progress of each stepped migration. The row is written in the
	// transaction of the step, so a killed migration continues after its last step.
	stepsTable = "moim_migration_steps"
	// stepRows is the number of rows in one transaction of a stepped migration.
	stepRows = 2000
	// progressEvery is the interval at which a migration logs its progress.
	progressEvery = 3 * time.Second
)

// stepped is a migration in steps: its file has lines that begin with stepMarker. Each part
// of the file runs in its own transactions, so other transactions do not have to wait for
// the whole migration. CONTRIBUTING.md explains how to write one.
type stepped struct {
	version  int64
	name     string
	dialect  Dialect
	log      *slog.Logger
	progress time.Duration // interval between log lines

	parts []part
	down  string
}

// part is the text between two markers.
type part struct {
	table string   // for rows: the statement runs for stepRows rows of this table at a time
	key   []string // for rows: the columns of the table's primary key
	index string   // for index: the statement creates this index
	sql   string
}

const (
	stepMarker = "-- +moim "
	upMarker   = "-- +goose Up\n"
	downMarker = "-- +goose Down\n"
	// rowsMark stands for the condition that a row belongs to the current step.
	rowsMark = "{rows}"
)

// steppedMigrations returns the stepped migrations among the files.
func steppedMigrations(files fs.FS, dialect Dialect, log *slog.Logger) (map[string]*stepped, error) {
	names, err := fs.Glob(files, "*.sql")
	if err != nil {
		return nil, err
	}
	found := make(map[string]*stepped)
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, err
		}
		if !strings.Contains(string(text), "\n"+stepMarker) {
			continue
		}
		version, err := goose.NumericComponent(name)
		if err != nil {
			return nil, err
		}
		s := &stepped{version: version, name: shortName(name), dialect: dialect, log: log, progress: progressEvery}
		if err := s.parse(string(text)); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		found[name] = s
	}
	return found, nil
}

func (s *stepped) parse(text string) error {
	_, up, ok := strings.Cut(text, upMarker)
	if !ok {
		return fmt.Errorf("it has no line %q", upMarker)
	}
	if up, s.down, ok = strings.Cut(up, downMarker); !ok {
		return fmt.Errorf("it has no line %q", downMarker)
	}
	for i, piece := range strings.Split("\n"+up, "\n"+stepMarker) {
		p := part{sql: piece}
		if i > 0 {
			marker, rest, _ := strings.Cut(piece, "\n")
			what, argument, _ := strings.Cut(marker, " ")
			p.sql = rest
			switch what {
			case "rows":
				table, columns, ok := strings.Cut(strings.TrimSuffix(argument, ")"), " (")
				if !ok || !strings.Contains(rest, rowsMark) {
					return errors.New("rows needs TABLE (KEY, …), and a statement with " + rowsMark)
				}
				p.table, p.key = table, strings.Split(columns, ", ")
			case "index":
				p.index = argument
			case "statements":
			default:
				return fmt.Errorf("unknown marker %q", marker)
			}
		}
		if strings.TrimSpace(p.sql) != "" {
			s.parts = append(s.parts, p)
		}
	}
	return nil
}

// migration returns s as a migration of goose. It uses a second connection while goose has
// one.
func (s *stepped) migration() *goose.Migration {
	return goose.NewGoMigration(s.version, &goose.GoFunc{RunDB: s.runUp}, &goose.GoFunc{RunTx: s.runDown})
}

// at is the progress of a migration.
type at struct {
	part  int
	place []any // key of the last finished row; nil if none of the part is finished
	done  int64 // finished rows of the part
}

func (s *stepped) runUp(ctx context.Context, pool *sql.DB) error {
	if _, err := pool.ExecContext(ctx, "CREATE TABLE IF NOT EXISTS "+stepsTable+
		" (version BIGINT NOT NULL PRIMARY KEY, part INTEGER NOT NULL, place TEXT NOT NULL, done BIGINT NOT NULL)"); err != nil {
		return err
	}
	now, err := s.read(ctx, pool)
	for err == nil && now.part < len(s.parts) {
		switch p := s.parts[now.part]; {
		case p.table != "":
			err = s.fill(ctx, pool, p, &now)
		case p.index != "":
			// A killed build leaves an index of the same name. This is not in a
			// transaction, because PostgreSQL can build an index without blocking writers
			// only outside of one.
			if _, err = pool.ExecContext(ctx, "DROP INDEX IF EXISTS "+p.index); err == nil {
				_, err = pool.ExecContext(ctx, p.sql)
			}
			if err == nil {
				err = s.step(ctx, pool, &now, at{part: now.part + 1}, nil)
			}
		default:
			err = s.step(ctx, pool, &now, at{part: now.part + 1}, func(tx *sql.Tx) error {
				_, err := tx.ExecContext(ctx, p.sql)
				return err
			})
		}
	}
	return err
}

// fill runs the statement of p for all rows of its table that are not finished.
func (s *stepped) fill(ctx context.Context, pool *sql.DB, p part, now *at) error {
	var all int64
	if err := pool.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+p.table).Scan(&all); err != nil {
		return err
	}
	if all == 0 { // as in a new database; later rows are not part of the migration
		*now = at{part: now.part + 1}
		return nil
	}
	said := time.Now()
	for here := now.part; now.part == here; {
		end, err := p.end(ctx, pool, now.place)
		if err != nil {
			return err
		}
		next := at{part: now.part, place: end, done: now.done + stepRows}
		if end == nil {
			next = at{part: now.part + 1}
		}
		condition, args := p.rows(now.place, end)
		err = s.step(ctx, pool, now, next, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, strings.ReplaceAll(p.sql, rowsMark, condition), args...)
			return err
		})
		if err != nil {
			return err
		}
		if time.Since(said) >= s.progress && end != nil {
			said = time.Now()
			s.log.InfoContext(ctx, "database: migrating", "version", s.version, "name", s.name, "table", p.table, "rows", now.done, "of", all)
		}
	}
	return nil
}

// step runs one transaction. It also records that the migration is then at next.
func (s *stepped) step(ctx context.Context, pool *sql.DB, now *at, next at, fn func(*sql.Tx) error) error {
	place, err := json.Marshal(next.place)
	if err != nil {
		return err
	}
	err = retry(ctx, func() (bool, error) {
		tx, err := pool.BeginTx(ctx, nil)
		if err != nil {
			return false, err
		}
		defer func() { _ = tx.Rollback() }()
		if fn != nil {
			if err := fn(tx); err != nil {
				return conflict(err), err
			}
		}
		_, err = tx.ExecContext(ctx, "INSERT INTO "+stepsTable+" (version, part, place, done) VALUES ($1, $2, $3, $4)"+
			" ON CONFLICT (version) DO UPDATE SET part = excluded.part, place = excluded.place, done = excluded.done",
			s.version, next.part, string(place), next.done)
		if err == nil {
			err = tx.Commit()
		}
		return conflict(err), err
	})
	if err != nil {
		return fmt.Errorf("part %d, after %d rows: %w", now.part+1, now.done, err)
	}
	*now = next
	return nil
}

func (s *stepped) read(ctx context.Context, pool *sql.DB) (now at, err error) {
	var place string
	err = pool.QueryRowContext(ctx, "SELECT part, place, done FROM "+stepsTable+" WHERE version = $1", s.version).Scan(&now.part, &place, &now.done)
	if errors.Is(err, sql.ErrNoRows) {
		return at{}, nil
	}
	if err != nil {
		return at{}, err
	}
	numbers := json.NewDecoder(strings.NewReader(place))
	numbers.UseNumber()
	if err := numbers.Decode(&now.place); err != nil {
		return at{}, fmt.Errorf("read %s: %w", stepsTable, err)
	}
	for i, v := range now.place {
		if n, ok := v.(json.Number); ok {
			if now.place[i], err = n.Int64(); err != nil {
				return at{}, fmt.Errorf("read %s: %w", stepsTable, err)
			}
		}
	}
	return now, nil
}

// runDown reverts the whole migration in one transaction.
func (s *stepped) runDown(ctx context.Context, tx *sql.Tx) error {
	if _, err := tx.ExecContext(ctx, s.down); err != nil {
		return err
	}
	_, err := tx.ExecContext(ctx, "DELETE FROM "+stepsTable+" WHERE version = $1", s.version)
	return err
}

// end returns the key of the last row of the step that begins after the key after. It
// returns nil if fewer than stepRows rows are left.
func (p part) end(ctx context.Context, pool *sql.DB, after []any) ([]any, error) {
	columns := strings.Join(p.key, ", ")
	condition, args := p.rows(after, nil)
	end := make([]any, len(p.key))
	pointers := make([]any, len(end))
	for i := range end {
		pointers[i] = &end[i]
	}
	err := pool.QueryRowContext(ctx, fmt.Sprintf("SELECT %s FROM %s WHERE %s ORDER BY %s LIMIT 1 OFFSET %d",
		columns, p.table, condition, columns, stepRows-1), args...).Scan(pointers...)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return end, err
}

// rows returns the condition for the rows after one key and up to another. Either may be
// nil.
func (p part) rows(after, end []any) (condition string, args []any) {
	columns := "(" + strings.Join(p.key, ", ") + ")"
	var both []string
	compare := func(how string, with []any) {
		marks := make([]string, len(with))
		for i, v := range with {
			args = append(args, v)
			marks[i] = fmt.Sprintf("$%d", len(args))
		}
		both = append(both, columns+how+"("+strings.Join(marks, ", ")+")")
	}
	if after != nil {
		compare(" > ", after)
	}
	if end != nil {
		compare(" <= ", end)
	}
	if both == nil {
		return "TRUE", nil
	}
	return strings.Join(both, " AND "), args
}
