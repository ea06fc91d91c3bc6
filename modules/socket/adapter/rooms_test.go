package adapter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/moim-live/moim/modules/socket/engine"
)

type dummy string

func (d dummy) ID() string         { return string(d) }
func (d dummy) UserID() string     { return string(d) }
func (d dummy) Codec() Codec       { return nil }
func (d dummy) Send(*engine.Frame) {}
func (dummy) Writable() bool       { return true }

func (d dummy) SendAll([]*engine.Frame) {}

// TestRooms compares a growing and shrinking room with a set, and checks that lists do
// not change once they are read.
func TestRooms(t *testing.T) {
	t.Parallel()
	r := newRooms()
	want := make(map[Socket]struct{})
	random := rand.New(rand.NewPCG(1, 2))
	for step := range 20_000 {
		s := dummy(fmt.Sprint(random.IntN(3 * fewSockets)))
		_, in := want[s]
		var before []Socket
		if step%3 == 0 { // the change finds a list that was read, or not
			before = r.sockets("r")
		}
		was := slices.Clone(before)
		if step/500%2 == 0 == (random.IntN(4) > 0) { // it grows and shrinks in turns
			if r.add("r", s) == in {
				t.Fatalf("step %d: adding %s, which was in: %v", step, s, in)
			}
			want[s] = struct{}{}
		} else {
			if r.remove("r", s) != in {
				t.Fatalf("step %d: removing %s, which was in: %v", step, s, in)
			}
			delete(want, s)
		}
		if !slices.Equal(before, was) {
			t.Fatalf("step %d: a list that was read has changed", step)
		}
		if step%2 == 0 {
			continue
		}
		got := r.sockets("r")
		if len(got) != len(want) {
			t.Fatalf("step %d: %d sockets, want %d", step, len(got), len(want))
		}
		for _, s := range got {
			if _, in := want[s]; !in {
				t.Fatalf("step %d: %s is in the room", step, s.ID())
			}
		}
		if len(want) == 0 && len(r.byName) != 0 {
			t.Fatalf("step %d: the empty room is kept", step)
		}
	}
}
