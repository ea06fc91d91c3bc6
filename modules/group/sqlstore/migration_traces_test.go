package sqlstore_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
)

// TestMigrationTracesUsers checks that older groups get a row for each user whose data they
// have: members, and users who are only in the log.
func TestMigrationTracesUsers(t *testing.T) {
	t.Parallel()
	servicetest.OnBothURLs(t, func(t *testing.T, url string) {
		var id string
		db := migrated(t, url, 28, func(t *testing.T, db *database.DB) {
			t.Helper()
			ctx, s := t.Context(), sqlstore.New(db)
			id = create(t, s)
			_, err := s.Change(ctx, id, "", func(tx group.Tx) error {
				m := group.Member{UserID: "in", Role: group.MemberRole}
				_, err := tx.Append(ctx, group.MemberJoined, "", m)
				for typ, data := range map[group.EventType]string{
					group.MemberRemoved: `{"userId":"removed \"x\""}`,
					group.MemberBanned:  `{"userId":"not readable","reason":"\u0000"}`, // PostgreSQL cannot read this
					group.GroupUpdated:  `{"userId":"nobody"}`,
				} {
					_, failed := tx.Append(ctx, typ, "", json.RawMessage(data))
					err = errors.Join(err, failed)
				}
				return errors.Join(err, tx.AddMember(ctx, m), tx.SetDeparted(ctx, "left"), tx.SetBan(ctx, group.Ban{UserID: "banned"}),
					tx.SetApplicant(ctx, group.Applicant{UserID: "asks"}))
			})
			if err != nil {
				t.Fatal(err)
			}
		})
		for userID, want := range map[string]string{
			"alice": id, "in": id, "left": id, "banned": id, "asks": id, `removed "x"`: id, "nobody": "",
		} {
			if got, err := sqlstore.New(db).TracedGroup(t.Context(), userID); got != want || err != nil {
				t.Errorf("%s: in %q, %v; want %q", userID, got, err, want)
			}
		}
	})
}
