package transfer_test

import (
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// TestBansComeFirst imports users with lines as members and as banned, as tables of members
// have that keep the banned. They must not get access, whatever line is first. An owner
// cannot be banned, and a ban that has expired keeps nobody out.
func TestBansComeFirst(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		im := checkFile(t, sqlstore.New(db), strings.Join([]string{
			`{"group":{"id":"room","name":"g","ownerId":"owner"}}`,
			`{"member":{"groupId":"room","userId":"before"}}`,
			`{"ban":{"groupId":"room","userId":"before"}}`,
			`{"ban":{"groupId":"room","userId":"after"}}`,
			`{"member":{"groupId":"room","userId":"after"}}`,
			`{"ban":{"groupId":"room","userId":"owner"}}`,
			`{"ban":{"groupId":"room","userId":"expired","expiresAt":"2020-01-01T00:00:00Z"}}`,
			`{"member":{"groupId":"room","userId":"expired"}}`,
		}, "\n"), false)
		if _, err := im.Write(t.Context()); err != nil {
			t.Fatal(err)
		}
		got := contents(t, db)
		for line, want := range map[string]int{
			`"userId":"owner","role":"owner"`:    1,
			`"userId":"expired","role":"member"`: 1,
			`"userId":"before"`:                  1,
			`"userId":"after"`:                   1,
			`"member":`:                          2,
			`"ban":`:                             2,
		} {
			if n := strings.Count(got, line); n != want {
				t.Errorf("the export has %s %d times, want %d:\n%s", line, n, want, got)
			}
		}
	})
}
