package transfer_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/pgtest"
	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/database"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/sqlstore"
	"github.com/moim-live/moim/modules/group/transfer"
)

const uuidGroup = "0190f5fe-7c00-7a00-8abc-012345678901"

// rooms is a file with every kind of line. 14 of its lines are written by an import.
var rooms = strings.Join([]string{
	`{"group":{"id":"room-1","name":"Café","description":"a\nb","visibility":"public","joinPolicy":"open","posting":"admins","readReceipts":true,"capacity":9,
		"attributes":{"game":"chess","nested":{"a":[1]}},"ownerId":"ana","ownerName":"Ana","createdAt":"2024-01-02T03:04:05.123456Z"}}`,
	`{"group":{"id":"` + uuidGroup + `","name":"Private","ownerId":"bo","createdAt":"2024-01-02T03:04:05Z","endsAt":"2124-01-02T03:04:05Z","remindBefore":[60]}}`,
	`{"group":{"name":"Nobody else","ownerId":"ana"}}`,
	`{"member":{"groupId":"room-1","userId":"ana","role":"owner","name":"Ana A.","attributes":{"seat":1},"joinedAt":"2024-01-02T03:04:06Z"}}`,
	`{"member":{"groupId":"room-1","userId":"cy","role":"admin","name":"Cy","profile":{"bio":"hi"},"joinedAt":"2024-02-02T00:00:00Z","muted":true}}`,
	``,
	`{"member":{"groupId":"room-1","userId":"dee"}}`,
	`{"member":{"groupId":"` + uuidGroup + `","userId":"dee","attributes":{"text":"a\u0000b"}}}`,
	`{"ban":{"groupId":"room-1","userId":"mallory","reason":"spam","actor":"cy","at":"2024-03-01T00:00:00Z"}}`,
	`{"invite":{"groupId":"` + uuidGroup + `","code":"letmein","maxUses":2,"uses":1,"createdBy":"bo"}}`,
	`{"message":{"groupId":"room-1","actor":"ana","data":{"text":"first"},"at":"2024-01-03T00:00:00Z"}}`,
	`{"message":{"groupId":"room-1","actor":"gone","type":"note","data":"again","at":"2024-01-03T00:00:00Z","editedAt":"2024-01-04T00:00:00Z"}}`,
	`{"message":{"groupId":"room-1","actor":"gone","data":"again"}}`,
	`{"message":{"groupId":"room-1","actor":null,"data":"a\u0000b","at":"2024-02-03T00:00:00Z"}}`,
	`{"message":{"groupId":"` + uuidGroup + `","actor":"bo","data":null}}`,
}, "\n")

// TestRoundTrip imports groups, and moves them to a database of the other kind. Both
// databases must have the same contents and correct counts. A repeat must change nothing.
func TestRoundTrip(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		ctx, store := t.Context(), sqlstore.New(db)
		text := strings.ReplaceAll(rooms, "\n\t", " ")
		want := transfer.Counts{Groups: 3, Members: 4, Bans: 1, Invites: 1, Messages: 5}
		if got := importText(t, store, text); got != want {
			t.Errorf("written %+v, want %+v", got, want)
		}
		mustCount(t, db)
		first := contents(t, db)
		if got := importText(t, store, text); got != (transfer.Counts{}) {
			t.Errorf("a repeat wrote %+v", got)
		}
		entries, err := store.Entries(ctx, audit.Filter{}, "", 10)
		if err != nil || len(entries) != 1 || entries[0].Action != "import" || entries[0].Actor != "os:ops" || !strings.Contains(string(entries[0].After), "rooms.jsonl") {
			t.Errorf("audit log: %+v, %v; want one import", entries, err)
		}
		importText(t, store, exportAll(t, db, "")) // in an export, owners have their own lines
		if got := importText(t, store, exportAll(t, db, "")); got != (transfer.Counts{}) {
			t.Errorf("its own export wrote %+v", got)
		}
		if diff := cmp.Diff(first, contents(t, db)); diff != "" {
			t.Errorf("a repeat changed (-before +after):\n%s", diff)
		}

		url := ""
		if db.Dialect() == database.SQLite {
			url = servicetest.NewPostgres(t)
		}
		other := servicetest.OpenDatabase(t, url)
		if got := importText(t, sqlstore.New(other), exportAll(t, db, "")); got.Groups != 3 || got.Members != 6 || got.Messages != 5 {
			t.Errorf("moved to another database: %+v", got)
		}
		mustCount(t, other)
		if diff := cmp.Diff(first, contents(t, other)); diff != "" {
			t.Errorf("in another database (-here +there):\n%s", diff)
		}
		lookAt(t, sqlstore.New(other))
	})
}

// lookAt reads the groups of rooms like a node.
func lookAt(t *testing.T, store *sqlstore.Store) {
	t.Helper()
	ctx, id := t.Context(), transfer.GroupID("room-1")
	page, err := store.Read(ctx, id, 0, 100, []string{"cy"})
	if err != nil {
		t.Fatal(err)
	}
	var log []string
	for _, e := range page.Events {
		actor := "-"
		if e.Actor != nil {
			actor = *e.Actor
		}
		log = append(log, fmt.Sprint(e.Version, " ", e.Type, " ", actor, " ", e.At.Format(time.DateOnly)))
	}
	want := []string{
		"1 group.created - 2024-01-02", "2 message.posted ana 2024-01-03", "3 message.posted gone 2024-01-03", "4 message.posted gone 2024-01-03",
		"5 message.posted - 2024-02-03", "6 group.updated - 2024-02-03",
	}
	if diff := cmp.Diff(want, log); diff != "" {
		t.Errorf("log (-want +got):\n%s", diff)
	}
	if m := page.Members["cy"]; m.Role != group.Admin || !m.Muted || string(m.Profile) != `{"bio":"hi"}` || page.Group.Revision != 1 {
		t.Errorf("cy is %+v in revision %d", m, page.Group.Revision)
	}
	for _, user := range []string{"ana", "dee"} {
		mine, err := store.UserGroups(ctx, user, "", 10)
		for _, m := range mine {
			if m.Unread != 0 {
				t.Errorf("%s has %d unread messages in %s", user, m.Unread, m.Name)
			}
		}
		if err != nil || len(mine) != 2 {
			t.Errorf("%s is in %d groups, %v", user, len(mine), err)
		}
	}
	found, err := store.PublicGroups(ctx, "afé", "", 10)
	if err != nil || len(found) != 1 {
		t.Errorf("found by name: %+v, %v", found, err)
	}
	byAttribute, err := store.FindGroups(ctx, group.Filter{Attributes: map[string]string{"game": "chess"}}, "", 10)
	if err != nil || len(byAttribute) != 1 {
		t.Errorf("found by attribute: %+v, %v", byAttribute, err)
	}
	bench := servicetest.NewOn(group.Config{}, store)
	bench.Now = time.Now()
	if m, err := bench.Accept(ctx, servicetest.User("eve"), "letmein"); err != nil || m.UserID != "eve" {
		t.Errorf("the invite: %+v, %v", m, err)
	}
	if _, err := bench.Join(ctx, servicetest.User("mallory"), id); servicetest.Code(err) != "banned" {
		t.Errorf("a banned user joins: %v", err)
	}
	if _, err := bench.Post(ctx, servicetest.User("cy"), id, dto.MessageRequest{Data: []byte(`1`)}); servicetest.Code(err) != "muted" {
		t.Errorf("a muted user posts: %v", err)
	}
}

// failing is a store that fails after some batches, before or after the commit.
type failing struct {
	transfer.Store
	left  int
	after bool
}

var errKilled = errors.New("killed")

func (f *failing) Import(ctx context.Context, b transfer.Batch, dry bool) (transfer.Written, error) {
	if f.left--; f.left >= 0 {
		return f.Store.Import(ctx, b, dry)
	}
	if f.after {
		if _, err := f.Store.Import(ctx, b, dry); err != nil {
			return transfer.Written{}, err
		}
	}
	return transfer.Written{}, errKilled
}

// TestInterrupted interrupts an import after each batch and repeats it, while members use
// the groups. Nothing may be duplicated or lost.
func TestInterrupted(t *testing.T) {
	t.Parallel()
	text := many(5, 6, 8)
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		ctx, store := t.Context(), sqlstore.New(db)
		bench := servicetest.NewOn(group.Config{}, store)
		lost, posted := true, 0
		for batches := 0; lost; batches++ {
			f := &failing{store, batches, batches%2 == 0}
			_, err := checkFile(t, f, text, false).Write(ctx)
			if lost = errors.Is(err, errKilled); err != nil && !lost {
				t.Fatal(err)
			}
			if batches > 50 {
				t.Fatal("the import does not end")
			}
			_, err = bench.Post(ctx, servicetest.User("owner-1"), transfer.GroupID("room-1"), dto.MessageRequest{Data: []byte(`"live"`)})
			if code := servicetest.Code(err); code == "ok" {
				posted++
			} else if code != "not_found" {
				t.Fatal(err)
			}
		}
		mustCount(t, db)
		if n := number(t, db, `SELECT COUNT(*) FROM members`); n != 5*7 {
			t.Errorf("%d members, want %d", n, 5*7)
		}
		if n := number(t, db, `SELECT COUNT(*) FROM events WHERE type = 'message.posted'`); int(n) != 5*8+posted || posted == 0 {
			t.Errorf("%d messages, want %d and %d that were posted meanwhile", n, 5*8, posted)
		}
		if n := number(t, db, `SELECT COUNT(DISTINCT data) FROM events WHERE type = 'message.posted'`); n != 5*8+1 {
			t.Errorf("%d different messages, want %d", n, 5*8+1)
		}
		// Only the lines of the owners are new.
		if got := importText(t, store, exportAll(t, db, "")); got != (transfer.Counts{Members: 5}) {
			t.Errorf("importing the export into the same database wrote %+v", got)
		}
	})
}

// many returns a file with groups that have the given number of members and messages.
func many(groups, members, messages int) string {
	var b strings.Builder
	for g := range groups {
		fmt.Fprintf(&b, `{"group":{"id":"room-%d","name":"Room %d","ownerId":"owner-%d","createdAt":"2024-01-01T00:00:00Z"}}`+"\n", g, g, g)
		for m := range messages {
			fmt.Fprintf(&b, `{"message":{"groupId":"room-%d","actor":"user-%d","data":"%d in %d","at":"2024-01-02T%02d:%02d:00Z"}}`+"\n", g, m, m, g, m/120%24, m/2%60)
		}
		for m := range members {
			fmt.Fprintf(&b, `{"member":{"groupId":"room-%d","userId":"user-%d","name":"User %d","joinedAt":"2024-01-01T00:00:00Z"}}`+"\n", g, m, m)
		}
	}
	return b.String()
}

// TestChangesStay checks that a repeated import does not undo changes that users made since
// the first import.
func TestChangesStay(t *testing.T) {
	t.Parallel()
	servicetest.OnBothDatabases(t, func(t *testing.T, db *database.DB) {
		ctx, store := t.Context(), sqlstore.New(db)
		bench := servicetest.NewOn(group.Config{}, store)
		bench.Now = time.Now()
		text := strings.ReplaceAll(rooms, "\n\t", " ")
		importText(t, store, text)
		id := transfer.GroupID("room-1")
		ana := servicetest.User("ana")
		for what, err := range map[string]error{
			"leave":    bench.Leave(ctx, servicetest.User("dee"), id),
			"unban":    bench.Unban(ctx, ana, id, "mallory"),
			"transfer": second(bench.Transfer(ctx, servicetest.User("ana"), id, nil, dto.TransferRequest{UserID: "cy"})),
			"delete":   bench.Delete(ctx, servicetest.User("bo"), uuidGroup, nil),
		} {
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		}
		before := contents(t, db)
		if got := importText(t, store, text); got != (transfer.Counts{}) {
			t.Errorf("a repeat wrote %+v", got)
		}
		if diff := cmp.Diff(before, contents(t, db)); diff != "" {
			t.Errorf("a repeat changed (-before +after):\n%s", diff)
		}
	})
}

func second(_ any, err error) error { return err }

// TestManyMembers measures the import of one large group and many small ones. MOIM_IMPORT
// is the number of members.
func TestManyMembers(t *testing.T) {
	t.Parallel()
	childtest.Bulk(t)
	n := 4000
	if text := os.Getenv("MOIM_IMPORT"); text != "" {
		n, _ = strconv.Atoi(text)
	}
	measure := func(t *testing.T, url string) {
		db := servicetest.OpenDatabase(t, url)
		store := sqlstore.New(db)
		for name, text := range map[string]string{
			"members of one group":    many(1, n/2, 10),
			"members of small groups": strings.ReplaceAll(many(n/2/10, 9, 2), "room-", "small-"),
		} {
			im := transfer.New(config, store, strings.NewReader(text))
			began := time.Now()
			report, err := im.Check(t.Context())
			checked := time.Since(began)
			if err != nil || report.Wrong > 0 {
				t.Fatal(report.Mistakes, err)
			}
			written, err := im.Write(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("%s: %+v checked in %s, all in %s", name, written, checked.Round(time.Millisecond), time.Since(began).Round(time.Millisecond))
		}
		if n <= 10_000 {
			mustCount(t, db)
		}
	}
	t.Run("SQLite", func(t *testing.T) { measure(t, "") })
	t.Run("Postgres", func(t *testing.T) {
		url := servicetest.NewPostgres(t)
		if n > 10_000 {
			url = pgtest.Start(t, "shared_buffers = 512MB", "max_wal_size = 4GB").NewDatabase(t)
		}
		measure(t, url)
	})
}
