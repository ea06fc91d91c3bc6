package hook

import (
	"go/ast"
	"go/parser"
	"go/token"
	"strconv"
	"testing"

	"github.com/moim-live/moim/modules/group"
)

func TestPatterns(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern string
		typ     group.EventType
		want    bool
	}{
		{"*", group.GroupDeleted, true},
		{"member.*", group.MemberJoined, true},
		{"member.*", group.MessagePosted, false},
		{"member.joined", group.MemberJoined, true},
		{"member.joined", group.MemberLeft, false},
		{"*", PresenceOnline, false},
		{"presence.*", PresenceOffline, true},
		{"presence.online", PresenceOffline, false},
		{"presence.online", PresenceOnline, true},
		{"presence.*", group.MemberLeft, false},
	} {
		if checkPattern(c.pattern) != "" || Matches([]string{"invite.revoked", c.pattern}, c.typ) != c.want {
			t.Errorf("%s, %s: %q, %v", c.pattern, c.typ, checkPattern(c.pattern), Matches([]string{c.pattern}, c.typ))
		}
	}
	for _, bad := range []string{"", "mem*", "member.", "*.joined", "**", "member.**", "membre.*", "hook.test", "MEMBER.JOINED"} {
		if checkPattern(bad) == "" {
			t.Errorf("%q is accepted as a pattern", bad)
		}
	}
}

// TestEveryTypeCanBeAskedFor checks that hooks can choose every event type of package
// group.
func TestEveryTypeCanBeAskedFor(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(token.NewFileSet(), "../group/group.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	ast.Inspect(file, func(n ast.Node) bool {
		v, is := n.(*ast.ValueSpec)
		if !is || v.Type == nil || len(v.Values) != 1 {
			return true
		}
		if name, is := v.Type.(*ast.Ident); is && name.Name == "EventType" {
			found++
			text, _ := v.Values[0].(*ast.BasicLit)
			typ, err := strconv.Unquote(text.Value)
			if problem := checkPattern(typ); err != nil || problem != "" {
				t.Errorf("%s: %q, %v", typ, problem, err)
			}
		}
		return true
	})
	if found != len(types)-2 { // the two others are types of presence
		t.Errorf("package group has %d types, and hooks can choose %d", found, len(types)-2)
	}
}
