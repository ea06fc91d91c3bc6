package presence

import (
	"encoding/json"
	"testing"
	"time"
)

func TestPresenceTellsStates(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, p *Tracker, _ *attendances, out *pushes) {
		set := func(state string) {
			t.Helper()
			if err := p.SetState(t.Context(), "g", "ana", json.RawMessage(state)); err != nil {
				t.Fatal(err)
			}
		}
		p.Subscribed("g", "ana")
		set(`{"x":1}`) // before the store knows ana
		after(time.Second)
		want(t, "pushed", out.take(), []string{`g: ana online {"x":1}`})
		for range 50 {
			set(`{"x":2}`)
		}
		set(`{"x":3}`)
		after(time.Second)
		want(t, "pushed, once a window", out.take(), []string{`g: ana online {"x":3}`})
		p.Unsubscribed("g", "ana", "dropped")
		after(time.Second)
		want(t, "pushed", out.take(), []string{`g: ana reconnecting dropped {"x":3}`})
		p.Subscribed("g", "ana")
		after(time.Second)
		want(t, "pushed", out.take(), []string{`g: ana online {"x":3}`})
		set("null")
		after(time.Second)
		want(t, "pushed", out.take(), []string{`g: ana online null`})
		set(`{"x":4}`)
		p.Unsubscribed("g", "ana", "unsubscribed")
		after(time.Second)
		want(t, "pushed", out.take(), []string{`g: ana offline left`})
		p.Subscribed("g", "ana")
		after(time.Second)
		want(t, "pushed", out.take(), []string{`g: ana online`})
	})
}

// TestPresenceKeepsNoStateOfAGuest checks that a member who leaves before the store knows
// them leaves no state behind, and is not reported as online afterwards.
func TestPresenceKeepsNoStateOfAGuest(t *testing.T) {
	t.Parallel()
	for _, reason := range []string{"unsubscribed", "dropped", "removed"} {
		watched(t, func(t *testing.T, p *Tracker, _ *attendances, out *pushes) {
			p.Subscribed("g", "ana")
			if err := p.SetState(t.Context(), "g", "ana", json.RawMessage(`{"x":1}`)); err != nil {
				t.Fatal(err)
			}
			p.Unsubscribed("g", "ana", reason)
			after(time.Second)
			want(t, "pushed after "+reason, out.take(), nil)
			p.Subscribed("g", "ana")
			after(time.Second)
			want(t, "pushed after "+reason, out.take(), []string{`g: ana online`})
			p.mu.Lock()
			defer p.mu.Unlock()
			if len(p.groups["g"]) != 1 || len(p.dirty) != 0 {
				t.Errorf("the tracker keeps %v and %v", p.groups, p.dirty)
			}
		})
	}
}

// TestPresenceTellsNoStateOfAUserWhoLeft checks that a live state is not reported if its user
// has left since, unless they are online on another node.
func TestPresenceTellsNoStateOfAUserWhoLeft(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, p *Tracker, s *attendances, out *pushes) {
		visit := func(user string) {
			t.Helper()
			p.Subscribed("g", user)
			if err := p.SetState(t.Context(), "g", user, json.RawMessage(`{"x":1}`)); err != nil {
				t.Fatal(err)
			}
			p.Unsubscribed("g", user, "dropped")
		}
		p.Subscribed("g", "ana")
		after(time.Second)
		p.Unsubscribed("g", "ana", "dropped")
		after(time.Second)
		out.take()
		visit("ana") // in her grace
		visit("bo")  // online on another node
		s.mu.Lock()
		s.elsewhere = map[string]bool{"bo": true}
		s.mu.Unlock()
		visit("cy") // nowhere else
		after(time.Second)
		want(t, "pushed", out.take(), []string{`g: bo online {"x":1}`})
	})
}

// TestPresenceEndsWithTheMembership checks that a user who is removed during their grace
// goes offline at once.
func TestPresenceEndsWithTheMembership(t *testing.T) {
	t.Parallel()
	watched(t, func(t *testing.T, p *Tracker, _ *attendances, out *pushes) {
		p.Subscribed("g", "ana")
		p.Subscribed("g", "bo")
		after(time.Second)
		p.Unsubscribed("g", "ana", "dropped")
		after(time.Second)
		out.take()
		for _, user := range []string{"ana", "bo", "cy"} { // in grace, online, and never online
			p.Ended("g", user, "removed")
		}
		after(time.Second)
		want(t, "pushed", out.take(), []string{"g: ana offline removed"})
		p.Unsubscribed("g", "bo", "removed")
		after(time.Second)
		want(t, "pushed", out.take(), []string{"g: bo offline removed"})
		listed, err := p.List(t.Context(), "g")
		if err != nil || len(listed) != 0 {
			t.Error(listed, err)
		}
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.groups)+len(p.dirty) != 0 {
			t.Errorf("the tracker keeps %v and %v", p.groups, p.dirty)
		}
	})
}

func TestPresenceReasons(t *testing.T) {
	t.Parallel()
	for reason, pushed := range map[string]string{
		"unsubscribed": "offline left",
		"left":         "offline left",
		"removed":      "offline removed",
		"banned":       "offline removed",
		"deleted":      "offline removed",
		"finished":     "offline removed", // a program's own reason
		"resync":       "reconnecting dropped",
		"dropped":      "reconnecting dropped",
		"drained":      "reconnecting drained",
		"expired":      "reconnecting expired",
	} {
		watched(t, func(t *testing.T, p *Tracker, _ *attendances, out *pushes) {
			p.Subscribed("g", "ana")
			after(time.Second)
			out.take()
			p.Unsubscribed("g", "ana", reason)
			after(time.Second)
			want(t, "pushed after "+reason, out.take(), []string{"g: ana " + pushed})
		})
	}
}
