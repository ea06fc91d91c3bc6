package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestInboxNotices: what all other tests rely on: an inbox reports every broken
// promise, and nothing else.
func TestInboxNotices(t *testing.T) {
	t.Parallel()
	version := func(v int64) event { return event{GroupID: "g", Version: v, Type: "message.posted"} }
	push := func(v int64) func(*inbox) {
		return func(b *inbox) {
			data, _ := json.Marshal(version(v))
			b.pushed("group:event", data)
		}
	}
	begin := func(since, head int64, events ...int64) func(*inbox) {
		return func(b *inbox) {
			answered := subscription{Version: head}
			for _, v := range events {
				answered.Events = append(answered.Events, version(v))
			}
			b.stream("g").begin(since, answered)
		}
	}
	closed := func(b *inbox) { b.pushed("group:closed", json.RawMessage(`{"groupId":"g","reason":"left"}`)) }
	forget := func(b *inbox) { b.stream("g").forget() }
	for name, c := range map[string]struct {
		steps []func(*inbox)
		fault string // empty: none
	}{
		"in order":                 {steps: []func(*inbox){begin(4, 4), push(5), push(6), closed}},
		"with what was missed":     {steps: []func(*inbox){begin(4, 6, 5, 6), push(7)}},
		"pushed before the answer": {steps: []func(*inbox){push(5), begin(4, 4), push(6)}},
		"closed before the answer": {steps: []func(*inbox){push(5), closed, begin(4, 4)}},
		"again after a break":      {steps: []func(*inbox){begin(4, 4), push(5), forget, begin(5, 7, 6, 7), push(8)}},
		"a hole":                   {steps: []func(*inbox){begin(4, 4), push(5), push(7)}, fault: "event 7"},
		"a double":                 {steps: []func(*inbox){begin(4, 4), push(5), push(5)}, fault: "event 5"},
		"out of order":             {steps: []func(*inbox){begin(4, 4), push(6), push(5)}, fault: "event 6"},
		"a double of the answer":   {steps: []func(*inbox){begin(4, 5, 5), push(5)}, fault: "event 5"},
		"a hole in the answer":     {steps: []func(*inbox){begin(4, 7, 5, 7)}, fault: "event 7"},
		"an answer that lacks one": {steps: []func(*inbox){begin(4, 7, 5, 6)}, fault: "covers version 7"},
		"after the end":            {steps: []func(*inbox){begin(4, 4), closed, push(5)}, fault: "after group:closed"},
		"early and after the end":  {steps: []func(*inbox){closed, push(5), begin(4, 4)}, fault: "after group:closed"},
		"two early ends":           {steps: []func(*inbox){closed, closed, begin(4, 4)}, fault: "closed twice"},
		"early and again":          {steps: []func(*inbox){closed, begin(4, 4), closed}, fault: "closed twice"},
		"two ends":                 {steps: []func(*inbox){begin(4, 4), closed, closed}, fault: "closed twice"},
		"an unknown event":         {steps: []func(*inbox){func(b *inbox) { b.pushed("boo", nil) }}, fault: "boo"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := newInbox(name)
			for _, step := range c.steps {
				step(b)
			}
			if ends, got := strings.HasPrefix(name, "closed"), b.stream("g").closedFor(); ends && got != "left" {
				t.Errorf("closed for %q, want left", got)
			}
			faults := fmt.Sprint(b.faults())
			if c.fault == "" && faults != "[]" || !strings.Contains(faults, c.fault) {
				t.Errorf("faults %s, want %q", faults, c.fault)
			}
		})
	}
}
