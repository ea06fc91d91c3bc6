package api_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// property has the parts of a property's schema that the tests read.
type property struct {
	Type                 any
	Enum                 []string
	AdditionalProperties any
	Ref                  string `json:"$ref"`
}

type apiDocument struct {
	Components struct {
		Schemas map[string]struct{ Properties map[string]property }
	}
}

func readDocument(t *testing.T) apiDocument {
	t.Helper()
	rec := httptest.NewRecorder()
	newEndpoint(t).handler.ServeHTTP(rec, httptest.NewRequestWithContext(t.Context(), "GET", "/openapi.json", nil))
	return servicetest.Decode[apiDocument](t, rec.Body.String())
}

// TestDocumentedTypes checks that code generators can derive precise types from the
// document. It lists the properties that have no precise type.
func TestDocumentedTypes(t *testing.T) {
	t.Parallel()
	var anything, nullable []string
	schemas := readDocument(t).Components.Schemas
	for name, s := range schemas {
		for field, p := range s.Properties {
			of := name + "." + field
			if p.Type == nil && p.Ref == "" {
				anything = append(anything, of)
			}
			if types, ok := p.Type.([]any); ok && slices.Contains(types, any("array")) {
				nullable = append(nullable, of)
			}
			object := slices.Contains([]string{"attributes", "profile", "state"}, field) || slices.Contains([]string{"Event.data", "Entry.before", "Entry.after"}, of)
			if object != (p.AdditionalProperties == true) {
				t.Errorf("%s is an object with any fields: %t, want %t", of, !object, object)
			}
		}
	}
	slices.Sort(anything)
	want := []string{"BatchCall.body", "EditMessageRequest.data", "Message.data", "MessageRequest.data", "Reply.body", "SignalRequest.data", "UserMessage.data"}
	if diff := cmp.Diff(anything, want); diff != "" {
		t.Errorf("schemas that allow anything: %s", diff)
	}
	if diff := cmp.Diff(nullable, []string{"UpdateRequest.remindBefore"}); diff != "" {
		t.Errorf("arrays that may be null: %s", diff)
	}
	for of, values := range map[string]string{
		"Group.visibility": "Visibility", "Group.joinPolicy": "JoinPolicy", "Group.posting": "Posting",
		"Membership.visibility": "Visibility", "FoundGroup.visibility": "Visibility",
		"Member.role": "Role", "ListedMember.role": "Role", "Membership.role": "Role", "TracedMember.role": "Role", "Event.type": "EventType",
	} {
		name, field, _ := strings.Cut(of, ".")
		if diff := cmp.Diff(schemas[name].Properties[field].Enum, constants(t, values)); diff != "" {
			t.Errorf("%s: %s", of, diff)
		}
	}
	for _, code := range []string{"not_found", "internal", "method_not_allowed", "group_full", "idempotency_mismatch", "log_truncated", "invite_invalid"} {
		if !slices.Contains(schemas["Problem"].Properties["code"].Enum, code) {
			t.Errorf("a problem's codes lack %s", code)
		}
	}
}

// constants returns the values of a type's constants in package group, in order.
func constants(t *testing.T, typ string) []string {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "../group.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var values []string
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok || len(spec.Values) != 1 {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); ok && name.Name == typ {
			if literal, ok := spec.Values[0].(*ast.BasicLit); ok {
				value, err := strconv.Unquote(literal.Value)
				if err != nil {
					t.Fatal(err)
				}
				values = append(values, value)
			}
		}
		return true
	})
	return values
}
