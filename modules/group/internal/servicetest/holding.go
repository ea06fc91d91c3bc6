package servicetest

import (
	"context"
	"fmt"
	"testing"

	"github.com/moim-live/moim/modules/database"
)

// Holding returns the tables that contain a text in any column, each with one such row.
func Holding(t *testing.T, db *database.DB, text string) []string {
	t.Helper()
	list := `SELECT name, (SELECT group_concat('COALESCE(CAST("' || c.name || '" AS TEXT), '''')', ' || '' | '' || ') FROM pragma_table_info(m.name) c)
		FROM sqlite_master m WHERE type = 'table'`
	find := `instr`
	if db.Dialect() == database.Postgres {
		list = `SELECT table_name, string_agg(format('COALESCE(CAST(%I AS TEXT), '''')', column_name), ' || '' | '' || ')
			FROM information_schema.columns WHERE table_schema = 'public' GROUP BY table_name`
		find = `strpos`
	}
	var found []string
	err := db.View(t.Context(), func(ctx context.Context, q database.Querier) error {
		found = nil
		rows, err := q.QueryContext(ctx, list)
		if err != nil {
			return err
		}
		tables := make(map[string]string)
		for rows.Next() {
			var table, row string
			if err := rows.Scan(&table, &row); err != nil {
				return err
			}
			tables[table] = row
		}
		if err := rows.Close(); err != nil {
			return err
		}
		for table, row := range tables {
			held, err := q.QueryContext(ctx, fmt.Sprintf(`SELECT %[1]s FROM %[2]s t WHERE %[3]s(%[1]s, $1) > 0 LIMIT 1`, row, table, find), text)
			if err != nil {
				return fmt.Errorf("search %s: %w", table, err)
			}
			for held.Next() {
				var one string
				if err := held.Scan(&one); err != nil {
					return err
				}
				found = append(found, table+": "+one)
			}
			if err := held.Close(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}
