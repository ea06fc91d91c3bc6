package app_test

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The callers in the permission tables of docs/permissions.md, in the order of the columns. In a
// private group, an outsider can be any of the first four callers.
const (
	outsider  = "outsider"
	requester = "requester"
	invited   = "invited"
	banned    = "banned"
	member    = "member"
	silenced  = "muted"
	admin     = "admin"
	owner     = "owner"
	backend   = "backend"
)

// callers are all of them.
var callers = []string{outsider, requester, invited, banned, member, silenced, admin, owner, backend}

// columns are the callers in the columns of a table about groups. The first column is for all
// outsiders of a private group.
var columns = append([]string{"private"}, callers...)

// docRow is a row of the tables.
type docRow struct {
	line  string
	call  string   // such as "POST /groups/{groupId}/join"; empty: not over HTTP
	what  string   // what is special about this call, such as "with `role`"
	event string   // empty: not over sockets
	when  []string // conditions
	cells map[string]string
}

// key is the key of the call in calls, which describes how to make it.
func (r docRow) key() string {
	if r.call == "" {
		return r.event
	}
	return strings.TrimSpace(r.call + " " + r.what)
}

var (
	tableCode = regexp.MustCompile("^`([^`]+)`(.*)$")
	heads     = map[string][]string{
		"call|event|when|private|public|requester|invited|banned|member|muted|admin|owner|back end": columns,
		"call|event|user|back end": {outsider, backend},
	}
)

// readTables returns the rows about groups, and those about no group.
func readTables(t *testing.T) (ofGroups, others []docRow) {
	t.Helper()
	text, err := os.ReadFile("../docs/permissions.md")
	if err != nil {
		t.Fatal(err)
	}
	var names []string // of the columns of the table, nil: it is another one
	for line := range strings.SplitSeq(string(text), "\n") {
		if !strings.HasPrefix(line, "|") {
			names = nil
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		for i := range cells {
			cells[i] = strings.TrimSpace(cells[i])
		}
		if head := heads[strings.Join(cells, "|")]; head != nil {
			names = head
			continue
		}
		if names == nil || strings.HasPrefix(cells[0], "---") {
			continue
		}
		row := docRow{line: line, cells: make(map[string]string)}
		if code := tableCode.FindStringSubmatch(cells[0]); code != nil {
			row.call, row.what = code[1], strings.TrimSpace(code[2])
		}
		row.event = strings.Trim(cells[1], "`")
		cells = cells[2:]
		if len(names) == len(columns) {
			if cells[0] != "" {
				row.when = strings.Split(cells[0], ", ")
			}
			cells = cells[1:]
		}
		if len(cells) != len(names) || row.call == "" && row.event == "" {
			t.Fatalf("docs/permissions.md: this row has a wrong number of cells, or no call:\n%s", line)
		}
		for i, name := range names {
			if cells[i] == "" && i > 0 {
				cells[i] = cells[i-1]
			}
			row.cells[name] = cells[i]
		}
		if len(names) == len(columns) {
			ofGroups = append(ofGroups, row)
		} else {
			others = append(others, row)
		}
	}
	return ofGroups, others
}

// kind is a kind of group.
type kind struct {
	visibility, policy, posting string
	ended                       bool
}

func kinds() (all []kind) {
	for _, visibility := range []string{"public", "private"} {
		for _, policy := range []string{"open", "request", "invite"} {
			for _, posting := range []string{"members", "admins"} {
				for _, ended := range []bool{false, true} {
					all = append(all, kind{visibility, policy, posting, ended})
				}
			}
		}
	}
	return all
}

func (k kind) String() string {
	name := k.visibility + " " + k.policy + " group where " + k.posting + " post"
	if k.ended {
		name += ", ended"
	}
	return name
}

// meets reports whether a condition is true for groups of this kind.
func (k kind) meets(condition string) bool {
	switch condition {
	case "also ended", k.visibility, k.policy, "posting: " + k.posting:
		return true
	case "ended":
		return k.ended
	case "not ended":
		return !k.ended
	default:
		return false
	}
}

// rowFor returns the row for a call in groups of this kind, or nil. If several match, it is the
// last of those with the most conditions.
func rowFor(rows []docRow, key string, k kind) (found *docRow) {
	for i, r := range rows {
		if r.key() != key || slices.ContainsFunc(r.when, func(c string) bool { return !k.meets(c) }) {
			continue
		}
		if found == nil || len(r.when) >= len(found.when) {
			found = &rows[i]
		}
	}
	return found
}

// want returns the expected result for a caller in groups of this kind. If the table says own,
// the result depends on the author of the message.
func (r docRow) want(k kind, caller string) string {
	column := caller
	if k.visibility == "private" && slices.Contains(callers[:4], caller) && !slices.Contains(r.when, "private") {
		column = "private"
	}
	cell := r.cells[column]
	if !k.ended || slices.Contains(r.when, "ended") || slices.Contains(r.when, "also ended") {
		return cell
	}
	refused := cell == "not_found" || cell == "not_member" || cell == "forbidden" || cell == "muted"
	if refused && caller != backend {
		return cell
	}
	return "group_ended"
}
