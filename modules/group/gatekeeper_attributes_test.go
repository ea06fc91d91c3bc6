package group_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// TestAttributesOfTheBackEnd checks that attributes from the gatekeeper are stored when a
// user creates or joins a group.
func TestAttributesOfTheBackEnd(t *testing.T) {
	t.Parallel()
	for i, tc := range guarded {
		b, k, id, prepared := stageFor(t, i)
		k.given = map[string]string{group.AskCreate: `{"plan":"pro","mine":null}`, group.AskJoin: `{"team":"red"}`}
		if _, err := tc.call(t.Context(), b, id, prepared); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"create": `{"plan":"pro"}`, "request to join": "", "post": `{}`, "edit": `{}`, "signal": `{}`}
		attributes, known := want[tc.name]
		if !known {
			attributes = `{"team":"red"}`
		}
		got := ""
		if tc.name == "create" {
			groups, err := b.ListMine(t.Context(), guest, "", 10)
			if err != nil || len(groups) != 1 {
				t.Fatal(err)
			}
			got = string(groups[0].Attributes)
		} else if m, err := b.Member(t.Context(), backend, id, "guest"); err == nil {
			got = string(m.Attributes)
		}
		if got != attributes {
			t.Errorf("%s: the attributes are %s, want %s", tc.name, got, attributes)
		}
	}
}

// TestTooManyAttributes checks that a group is refused if the user's attributes and the
// gatekeeper's are too large together.
func TestTooManyAttributes(t *testing.T) {
	t.Parallel()
	k := &keeper{given: map[string]string{group.AskCreate: `{"a":"` + strings.Repeat("x", 10<<10) + `"}`}}
	b := servicetest.NewGuarded(t, group.Config{}, k)
	_, err := b.Create(t.Context(), guest, dto.CreateRequest{Name: "g", Attributes: json.RawMessage(`{"b":"` + strings.Repeat("x", 10<<10) + `"}`)})
	if got := refusalOf(err); got != "validation_failed" {
		t.Error(err)
	}
}
