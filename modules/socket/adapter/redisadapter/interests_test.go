package redisadapter

import (
	"fmt"
	"testing"

	"pgregory.net/rapid"
)

// oneShard returns interests of a node with one adapter.
func oneShard() *interests {
	return newInterests(1, func(string) int { return 0 }, &marks{rooms: make(map[string][]mark)})
}

// ask adds an interest. The channel is closed when the room is subscribed.
func ask(s *interests, room string) <-chan struct{} {
	ready := make(chan struct{})
	s.want(room, func() { close(ready) })
	return ready
}

func closed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// TestInterests models a connection as a queue of commands that a server executes in order.
// Whatever happens, the server must end up with the wanted subscriptions. ready must be closed
// only while the server has the subscription and keeps it.
func TestInterests(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		type command struct {
			room      string
			subscribe bool
		}
		s := oneShard()
		var commands []command
		server := make(map[string]bool)
		ready := make(map[string]<-chan struct{}) // of wanted rooms
		room := rapid.Custom(func(t *rapid.T) string { return fmt.Sprint("r", rapid.IntRange(0, 3).Draw(t, "room")) })
		send := func(limit int) {
			subscribe, leave := s.take(0, limit)
			for _, room := range subscribe {
				commands = append(commands, command{room, true})
			}
			for _, room := range leave {
				commands = append(commands, command{room, false})
			}
		}
		follow := func() {
			c := commands[0]
			commands = commands[1:]
			server[c.room] = c.subscribe
			s.confirm(c.room)
		}
		check := func(t *rapid.T) {
			for room, c := range ready {
				if !closed(c) {
					continue
				}
				if !server[room] {
					t.Fatalf("%s is ready, and the server does not have it", room)
				}
				for _, c := range commands {
					if c.room == room {
						t.Fatalf("%s is ready, and a command for it is outstanding", room)
					}
				}
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"want": func(t *rapid.T) { r := room.Draw(t, "room"); ready[r] = ask(s, r) },
			"unwant": func(t *rapid.T) {
				r := room.Draw(t, "room")
				s.unwant(r)
				delete(ready, r)
			},
			"send": func(t *rapid.T) { send(rapid.IntRange(1, 3).Draw(t, "limit")) },
			"follow": func(t *rapid.T) {
				if len(commands) == 0 {
					t.Skip("nothing was sent")
				}
				follow()
			},
			"": check,
		})
		for len(s.shards[0].rooms) > 0 || len(commands) > 0 {
			send(2)
			for len(commands) > 0 {
				follow()
			}
		}
		for room, c := range ready {
			if !closed(c) || !server[room] {
				t.Fatalf("%s is wanted: ready %t, subscribed %t", room, closed(c), server[room])
			}
		}
		for room, subscribed := range server {
			if _, wanted := ready[room]; subscribed && !wanted {
				t.Fatalf("%s is subscribed to and not wanted", room)
			}
		}
		if s.len() != len(ready) {
			t.Fatalf("%d rooms are remembered, want %d", s.len(), len(ready))
		}
		// A new connection has no subscriptions.
		s.restart(0)
		send(100)
		if len(commands) != len(ready) {
			t.Fatalf("%d commands after a reconnection, want %d", len(commands), len(ready))
		}
	})
}

func TestInterestsForgetWhatChangedWithoutAConnection(t *testing.T) {
	t.Parallel()
	s := oneShard()
	for i := range 1000 {
		room := fmt.Sprint("r", i)
		ask(s, room)
		s.unwant(room)
	}
	if len(s.rooms)+len(s.shards[0].rooms) != 0 {
		t.Fatalf("%d rooms and %d changes are kept", len(s.rooms), len(s.shards[0].rooms))
	}
}

func TestAcceptDropsWhatIsLateOrNotWanted(t *testing.T) {
	t.Parallel()
	s := oneShard()
	s.marks.ways.Store(1)
	ask(s, "r")
	for i, c := range []struct {
		room           string
		sender, number uint64
		want           bool
	}{
		{"r", 1, 5, true}, {"r", 1, 5, false}, {"r", 1, 4, false}, {"r", 2, 4, true}, {"r", 1, 9, true}, {"other", 1, 10, false},
	} {
		if got := s.accept(c.room, header{c.sender, c.number}); got != c.want {
			t.Errorf("%d: %t, want %t", i, got, c.want)
		}
	}
	for sender := range uint64(10 * maxMarks) {
		s.accept("r", header{sender, 1})
	}
	if n := len(s.marks.rooms["r"]); n != maxMarks {
		t.Errorf("%d senders are remembered, want %d", n, maxMarks)
	}
	s.unwant("r")
	if len(s.marks.rooms) > 0 {
		t.Error("the senders of a room without an interest are still stored")
	}
}

// TestReadyForAllWhoAsk has several callers ask for one room. Those who ask before it is
// subscribed must be notified then, and later ones at once.
func TestReadyForAllWhoAsk(t *testing.T) {
	t.Parallel()
	s := oneShard()
	first, second := ask(s, "r"), ask(s, "r")
	s.take(0, 10)
	if closed(first) || closed(second) {
		t.Fatal("ready before the server confirmed")
	}
	s.confirm("r")
	if !closed(first) || !closed(second) || !closed(ask(s, "r")) {
		t.Error("a caller was not notified that the room is subscribed")
	}
}
