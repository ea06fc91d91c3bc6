package transfer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/group/transfer"
)

// check returns the mistakes of a file, checked against an empty database.
func check(t *testing.T, text string) (mistakes []string, report transfer.Report) {
	t.Helper()
	report, err := transfer.New(config, transfer.Empty{}, strings.NewReader(text)).InSteps(3).Check(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range report.Mistakes {
		mistakes = append(mistakes, m.String())
	}
	return mistakes, report
}

const room = `{"group":{"id":"r","name":"Room","ownerId":"ana"}}` + "\n"

// TestMistakes checks the line and field of each mistake, and that the limits are those of
// the API.
func TestMistakes(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", 300<<10)
	for name, c := range map[string]struct {
		text string
		want []string
	}{
		"right":                {room + "\r\n  \n" + ` { "member" : {"groupId":"r","userId":"bo"}}`, nil},
		"byte order mark":      {"\ufeff" + room, nil},
		"two of them":          {room + "\ufeff" + room, []string{"line 2: must be one JSON object"}},
		"control characters":   {`{"group":{"\u001b[2J\u202e":1,"name":"x","ownerId":"ana"}}` + "\n" + `{"\u009b":1}`, []string{"line 1: group.?[2J?: unknown field", `line 2: "\u009b" is none of group, member, ban, invite and message`}},
		"no line feed":         {strings.TrimSpace(room), nil},
		"nothing":              {"", nil},
		"escaped kind":         {room + `{"\u006dessage":{"groupId":"r","actor":"ana","data":1}}`, nil},
		"no JSON":              {room + `{"member":`, []string{"line 2: must be one JSON object"}},
		"an array":             {`[1]`, []string{"line 1: must be one JSON object"}},
		"not UTF-8":            {"{\"\xff\":1}", []string{"line 1: must be valid UTF-8: convert the file"}},
		"two kinds":            {`{"group":{},"member":{}}`, []string{`line 1: must have one field, such as {"group": {…}}`}},
		"no kind":              {`{}`, []string{`line 1: must have one field, such as {"group": {…}}`}},
		"unknown kind":         {`{"room":{}}`, []string{`line 1: "room" is none of group, member, ban, invite and message`}},
		"too long":             {`{"group":"` + long + `"}` + "\n{}", []string{"line 1: has more than 262144 bytes", `line 2: must have one field, such as {"group": {…}}`}},
		"too deep":             {strings.Repeat("[", 200) + strings.Repeat("]", 200), []string{"line 1: must nest arrays and objects at most 128 levels deep"}},
		"no fields of a group": {`{"group":{}}`, []string{"line 1: group.name: is required", "line 1: group.ownerId: is required"}},
		"fields of a group": {
			`{"group":{"id":"a\u0000","name":"x","ownerId":"ana","visibility":"secret","capacity":0,"createdAt":"2999-01-01T00:00:00Z","version":3}}`,
			[]string{
				"line 1: group.version: unknown field", "line 1: group.visibility: must be one of: private, public", "line 1: group.capacity: must be between 1 and 100000",
				"line 1: group.id: must have 1 to 255 bytes without control characters", "line 1: group.createdAt: must not be in the future",
			},
		},
		// In UTC, this time is in the year -1.
		"an end before all years": {
			`{"group":{"id":"r","name":"x","ownerId":"ana","endsAt":"0000-01-01T00:00:00+14:00"}}`,
			[]string{"line 1: group.endsAt: must be in the years 1970 to 9999"},
		},
		"no mistake after a mistake": {`{"group":{"id":"r","name":"","ownerId":"ana"}}` + "\n" + `{"member":{"groupId":"r","userId":"bo"}}`, []string{"line 1: group.name: is required"}},
		"unknown group": {
			room + `{"member":{"groupId":"q","userId":"bo"}}`,
			[]string{"line 2: member.groupId: no line above is this group's, and the database has no such group: put the group's line first"},
		},
		"group too late": {
			`{"ban":{"groupId":"r","userId":"bo"}}` + "\n" + room,
			[]string{"line 1: ban.groupId: no line above is this group's, and the database has no such group: put the group's line first"},
		},
		"another owner": {
			room + `{"member":{"groupId":"r","userId":"bo","role":"owner"}}` + "\n" + `{"member":{"groupId":"r","userId":"ana","role":"admin"}}`,
			[]string{
				"line 2: member.role: must be admin or member: another user owns the group",
				"line 3: member.role: this user owns the group: leave role out, or name another owner in the group's line",
			},
		},
		"fields of a member": {
			room + `{"member":{"groupId":"r","userId":"","role":"boss","attributes":1,"mutedUntil":"2999-01-01T00:00:00Z"}}`,
			[]string{
				"line 2: member.userId: must be a user id of 1 to 128 bytes that can be read, without control characters, and not . or ..", "line 2: member.role: must be one of: owner, admin, member",
				"line 2: member.attributes: must be an object", "line 2: member.mutedUntil: needs muted",
			},
		},
		"fields of an invite": {
			room + `{"invite":{"groupId":"r","codeHash":"ABC","maxUses":0}}` + "\n" + `{"invite":{"groupId":"r"}}` + "\n" + `{"invite":{"groupId":"r","code":".."}}`,
			[]string{
				"line 2: invite.codeHash: must be 64 hexadecimal digits in small letters", "line 2: invite.maxUses: must be between 1 and 1000000",
				"line 3: invite.code: is required, or codeHash: its SHA-256 in hexadecimal",
				"line 4: invite.code: must have 1 to 255 bytes without control characters and /, and not be . or ..",
			},
		},
		"fields of a message": {
			room + `{"message":{"groupId":"r","at":"1960-01-01T00:00:00Z"}}`,
			[]string{
				"line 2: message.actor: is required, or null for a user who was erased", "line 2: message.data: is required", "line 2: message.at: must be in the years 1970 to 9999",
			},
		},
		"messages that are not sorted": {
			room + `{"message":{"groupId":"r","actor":"a","data":1,"at":"2024-01-02T00:00:00Z"}}` + "\n" + `{"message":{"groupId":"r","actor":"a","data":1,"at":"2024-01-01T00:00:00Z"}}`,
			[]string{"line 3: message.at: is before the message of this group above it: sort the messages of a group by time"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got, _ := check(t, c.text); cmp.Diff(c.want, got) != "" {
				t.Errorf("(-want +got):\n%s", cmp.Diff(c.want, got))
			}
		})
	}
}

// TestManyMistakes checks that only the first mistakes are kept, but all are counted.
func TestManyMistakes(t *testing.T) {
	t.Parallel()
	mistakes, report := check(t, strings.Repeat(`{"group":{}}`+"\n", 50))
	if len(mistakes) != 20 || report.Wrong != 100 || report.Lines != 50 || !strings.HasPrefix(mistakes[19], "line 10:") {
		t.Errorf("%d mistakes of %d in %d lines, the last one %q", len(mistakes), report.Wrong, report.Lines, mistakes[len(mistakes)-1])
	}
}

// TestLongLogs checks that a log that a node would trim soon is reported.
func TestLongLogs(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	b.WriteString(room)
	for range 10_001 {
		fmt.Fprintln(&b, `{"message":{"groupId":"r","actor":"a","data":1}}`)
	}
	if _, report := check(t, b.String()); report.Long != 1 {
		t.Errorf("%d groups are long, want 1", report.Long)
	}
}

// TestGroupIDs protects the ids that are derived from a source id. Other systems compute
// them, too, so they must never change.
func TestGroupIDs(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]string{
		"room-0":  "00000000-0000-87d7-9735-f27addd4ea03",
		uuidGroup: uuidGroup,
	} {
		if got := transfer.GroupID(source); got != want {
			t.Errorf("%s: %s, want %s", source, got, want)
		}
	}
	if upper := strings.ToUpper(uuidGroup); transfer.GroupID(upper) == uuidGroup || transfer.GroupID(upper) == upper {
		t.Errorf("%s: %s", upper, transfer.GroupID(upper))
	}
}

// TestChangedFile checks that an import stops if the file changes between the check and the
// import.
func TestChangedFile(t *testing.T) {
	t.Parallel()
	file := &swapped{Reader: strings.NewReader(room), then: `{"group":{"id":"r","name":"Room","ownerId":"bo"}}`}
	im := transfer.New(config, transfer.Empty{}, file)
	if _, err := im.Check(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := im.Write(t.Context()); !errors.Is(err, transfer.ErrChanged) {
		t.Errorf("%v, want %v", err, transfer.ErrChanged)
	}
}

// swapped is a file with other content when it is read again.
type swapped struct {
	*strings.Reader
	then string
	read bool
}

func (s *swapped) Seek(offset int64, whence int) (int64, error) {
	if s.read {
		s.Reader = strings.NewReader(s.then)
	}
	s.read = true
	return s.Reader.Seek(offset, whence)
}
