package sqlstore_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// TestMigrationFindsWhomEntriesName erases a user from audit entries that are older than
// the table of the users in entries. JSON that a database cannot read must not stop the
// migration.
func TestMigrationFindsWhomEntriesName(t *testing.T) {
	t.Parallel()
	servicetest.OnBothURLs(t, func(t *testing.T, url string) {
		odd := []string{`"\u0000"`, `"\ud800"`, `1e999999`, strings.Repeat("[", 5000) + strings.Repeat("]", 5000)}
		db := migrated(t, url, 33, func(t *testing.T, db *database.DB) {
			t.Helper()
			for i, data := range append([]string{`"userId"`}, odd...) {
				e, err := audit.New(t.Context(), "backend", "update")
				if err != nil {
					t.Fatal(err)
				}
				e.Before = json.RawMessage(`{"message":{"data":` + data + `,"version":1}}`)
				if i == 0 {
					e.Before = json.RawMessage(`{"group":{"ownerId":"bob"},"leftOut":3}`)
					e.After = json.RawMessage(`{"members":[{"userId":"carol"},{"name":"Bob","userId":"bob"}]}`)
				}
				if err := sqlstore.New(db).Record(t.Context(), e); err != nil {
					t.Fatal(err)
				}
			}
		})
		s := sqlstore.New(db)
		if _, err := s.EraseOf(t.Context(), "bob", "erased:1"); err != nil {
			t.Fatal(err)
		}
		entries, err := s.Entries(t.Context(), audit.Filter{}, "", 10)
		if err != nil || len(entries) != len(odd)+1 {
			t.Fatal(entries, err)
		}
		e := entries[len(odd)]
		if before, after := string(e.Before), string(e.After); before != `{"group":{"ownerId":"erased:1"},"leftOut":3}` ||
			after != `{"members":[{"userId":"carol"},{"userId":"erased:1"}]}` {
			t.Errorf("before: %s, after: %s", before, after)
		}
	})
}
