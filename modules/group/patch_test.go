package group

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/group/dto"
)

func TestUpdate(t *testing.T) {
	t.Parallel()
	five := 5
	g := Group{Name: "old", Visibility: Private, JoinPolicy: JoinInvite, Capacity: &five, MemberCount: 3, Attributes: json.RawMessage(`{"b":1,"a":{"x":1,"y":2}}`)}
	for name, c := range map[string]struct{ patch, changes, code string }{
		"nothing":           {`{}`, `{}`, "yes"},
		"the same":          {`{"name":"old","capacity":5,"attributes":{"a":{"y":2}}}`, `{}`, "yes"},
		"name":              {`{"name":"new"}`, `{"name":"new"}`, "yes"},
		"attributes deeply": {`{"attributes":{"a":{"x":null,"z":3}}}`, `{"attributes":{"a":{"y":2,"z":3},"b":1}}`, "yes"},
		"attributes gone":   {`{"attributes":null}`, `{"attributes":{}}`, "yes"},
		"capacity gone":     {`{"capacity":null}`, `{"capacity":null}`, "yes"},
		"capacity up":       {`{"capacity":10}`, `{"capacity":10}`, "yes"},
		"capacity too low":  {`{"capacity":2}`, `null`, "group_full"},
		"attributes grown":  {`{"attributes":{"c":"` + strings.Repeat("x", 16<<10-10) + `"}}`, `null`, "validation_failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var r dto.UpdateRequest
			if err := json.Unmarshal([]byte(c.patch), &r); err != nil {
				t.Fatal(err)
			}
			before := fmt.Sprint(g)
			_, changes, err := update(g, r, r.Patch())
			if codeOf(err) != c.code {
				t.Fatalf("code %s, want %s", codeOf(err), c.code)
			}
			got, err := json.Marshal(changes)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.changes, string(got)); diff != "" {
				t.Error(diff)
			}
			if after := fmt.Sprint(g); after != before {
				t.Errorf("the group itself changed: %s", after)
			}
		})
	}
}
