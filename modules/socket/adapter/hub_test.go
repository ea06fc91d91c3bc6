package adapter

import (
	"context"
	"slices"
	"testing"
)

// crowded is an adapter that records its calls. If full, it refuses Cast.
type crowded struct {
	*Memory
	full  bool
	asked []string
	local *inbox
}

func (c *crowded) note(what string) {
	c.asked = append(c.asked, what)
	if len(c.local.frames) > 0 {
		c.asked[len(c.asked)-1] += " after this node"
	}
}

func (c *crowded) Cast(context.Context, Envelope) bool {
	c.note("cast")
	return !c.full
}

func (c *crowded) Publish(context.Context, Envelope) error {
	c.note("publish")
	return nil
}

// TestCast checks that Cast sends to other nodes first, and to this node's sockets
// before it waits for a full adapter.
func TestCast(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		full bool
		want []string
	}{
		{false, []string{"cast"}},
		{true, []string{"cast", "publish after this node"}},
	} {
		a := &crowded{Memory: NewMesh().Adapter(), full: test.full, local: &inbox{dummy: "a"}}
		h := NewHub(a)
		_ = h.Join("r", a.local)
		h.Cast(t.Context(), Envelope{Room: "r", Event: "e"})
		if !slices.Equal(a.asked, test.want) || len(a.local.frames) != 1 {
			t.Errorf("full %v: the adapter was asked to %q, want %q; %d frames here", test.full, a.asked, test.want, len(a.local.frames))
		}
	}
}
