package transfer_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// TestCodesOfOtherGroups imports invites with codes that already belong to other groups, in
// the same file or in the database. The import, a repeat and a dry run must report them.
func TestCodesOfOtherGroups(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		store := sqlstore.New(db)
		group := func(id string) string { return `{"group":{"id":"` + id + `","name":"g","ownerId":"ana"}}` }
		invite := func(id, code string) string { return `{"invite":{"groupId":"` + id + `","code":"` + code + `"}}` }
		importText(t, store, strings.Join([]string{group("a"), invite("a", "one")}, "\n"))
		text := strings.Join([]string{group("a"), group("b"), invite("a", "one"), invite("b", "one"), invite("b", "two"), invite("a", "two"), invite("b", "two")}, "\n")
		for _, step := range []struct {
			dry     bool
			invites int
		}{{false, 1}, {false, 0}, {true, 0}} {
			im := checkFile(t, store, text, step.dry)
			written, err := im.Write(t.Context())
			if err != nil || written.Invites != step.invites {
				t.Errorf("%+v: written %+v, %v", step, written, err)
			}
			if got := im.Clashes(); got.All != 2 || !slices.Equal(got.Lines, []int{4, 6}) {
				t.Errorf("%+v: clashes %+v", step, got)
			}
		}
		many := []string{group("a"), group("c")}
		for range 1100 {
			many = append(many, invite("c", "one"))
		}
		im := checkFile(t, store, strings.Join(many, "\n"), false)
		if _, err := im.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := im.Clashes(); got.All != 1100 || len(got.Lines) != 1000 {
			t.Errorf("%d clashes, of which %d are listed", got.All, len(got.Lines))
		}
	})
}
