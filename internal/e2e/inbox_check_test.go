package e2e

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// TestInboxNotices checks the inbox, which all other tests rely on. It must report every
// violation of the contract, and nothing else.
func TestInboxNotices(t *testing.T) {
	t.Parallel()
	version := func(v int64) event { return event{GroupID: "g", Version: v, Type: "message.posted"} }
	push := func(v int64) func(*inbox) {
		return func(b *inbox) {
			data, _ := json.Marshal(version(v))
			b.pushed("group:event", data)
		}
	}
	begin := func(head int64) func(*inbox) {
		return func(b *inbox) { b.stream("g").begin(subscription{Version: head}) }
	}
	resume := func(since int64) func(*inbox) { return func(b *inbox) { b.stream("g").resume(since) } }
	resumed := func(since, version int64, snapshot bool) func(*inbox) {
		return func(b *inbox) { b.stream("g").resumed(since, subscription{Version: version, Snapshot: snapshot}) }
	}
	closed := func(b *inbox) { b.pushed("group:closed", json.RawMessage(`{"groupId":"g","reason":"left"}`)) }
	for name, c := range map[string]struct {
		steps []func(*inbox)
		fault string // empty: none
	}{
		"in order":                     {steps: []func(*inbox){begin(4), push(5), push(6), closed}},
		"with what was missed":         {steps: []func(*inbox){resume(4), resumed(4, 4, false), push(5), push(6), push(7)}},
		"missed, before the answer":    {steps: []func(*inbox){resume(4), push(5), push(6), resumed(4, 4, false), push(7)}},
		"pushed before the answer":     {steps: []func(*inbox){push(5), begin(4), push(6)}},
		"closed before the answer":     {steps: []func(*inbox){push(5), closed, begin(4)}},
		"again after a break":          {steps: []func(*inbox){begin(4), push(5), resume(5), resumed(5, 5, false), push(6), push(7)}},
		"a hole":                       {steps: []func(*inbox){begin(4), push(5), push(7)}, fault: "event 7"},
		"a double":                     {steps: []func(*inbox){begin(4), push(5), push(5)}, fault: "event 5"},
		"out of order":                 {steps: []func(*inbox){begin(4), push(6), push(5)}, fault: "event 6"},
		"a live event before a missed": {steps: []func(*inbox){resume(4), push(7), resumed(4, 4, false), push(5)}, fault: "event 7"},
		"a hole in what was missed":    {steps: []func(*inbox){resume(4), resumed(4, 4, false), push(5), push(7)}, fault: "event 7"},
		"an answer that skips":         {steps: []func(*inbox){resume(4), resumed(4, 6, false)}, fault: "begins at version 6"},
		"a snapshot":                   {steps: []func(*inbox){resume(4), resumed(4, 4, true)}, fault: "snapshot"},
		"after the end":                {steps: []func(*inbox){begin(4), closed, push(5)}, fault: "after group:closed"},
		"early and after the end":      {steps: []func(*inbox){closed, push(5), begin(4)}, fault: "after group:closed"},
		"two early ends":               {steps: []func(*inbox){closed, closed, begin(4)}, fault: "closed twice"},
		"early and again":              {steps: []func(*inbox){closed, begin(4), closed}, fault: "closed twice"},
		"two ends":                     {steps: []func(*inbox){begin(4), closed, closed}, fault: "closed twice"},
		"an unknown event":             {steps: []func(*inbox){func(b *inbox) { b.pushed("boo", nil) }}, fault: "boo"},
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
