package redispresence_test

import (
	"encoding/json"
	"fmt"
	"strconv"
	"testing"

	"github.com/moim-live/moim/internal/redistest"
)

// TestSizeOfAMember checks the memory of a present member against docs/redis.md.
func TestSizeOfAMember(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ groups, members int }{
		"groups of 10": {500, 10}, "one group of 5000": {1, 5000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t)
			n := startNode(t, s.URL())
			used := func() int {
				n, err := strconv.Atoi(s.Client().InfoMap(t.Context(), "memory").Item("Memory", "used_memory"))
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			before, all := used(), c.groups*c.members
			for g := range c.groups {
				come := make([]string, c.members)
				for m := range come {
					come[m] = fmt.Sprintf("+0190c0de-0000-7000-8000-%012d", m)
				}
				n.apply(t, groupName(g), come...)
			}
			there := used()
			for g := range c.groups {
				for m := range min(c.members, 500) {
					if _, err := n.SetState(t.Context(), groupName(g), fmt.Sprintf("0190c0de-0000-7000-8000-%012d", m), json.RawMessage(`{"page":7}`)); err != nil {
						t.Fatal(err)
					}
				}
			}
			member, state := (there-before)/all, (used()-there)/(c.groups*min(c.members, 500))
			t.Logf("size: %s: %d bytes of Redis a member, and %d with a live state of 10 bytes", name, member, state)
			if member > 400 || state > 400 {
				t.Errorf("a member costs %d bytes, his state %d", member, state)
			}
		})
	}
}

func groupName(g int) string { return fmt.Sprintf("0190c0de-0000-7000-9000-%012d", g) }
