package authorize

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/waittest"
	"github.com/moim-live/moim/internal/webhook"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
)

// TestAnswersAreRemembered checks that an answer is reused for the same question and for no
// other one.
func TestAnswersAreRemembered(t *testing.T) {
	t.Parallel()
	text := func(s string) dto.MessageRequest { return dto.MessageRequest{Data: json.RawMessage(`"` + s + `"`)} }
	message := group.Question{Event: group.AskMessage, UserID: "ana", GroupID: "g", Data: text("a")}
	create := group.Question{Event: group.AskCreate, UserID: "ana", Data: dto.CreateRequest{Name: "a"}}
	join := group.Question{Event: group.AskJoin, UserID: "ana", GroupID: "g", Data: group.Entering{By: "open"}}
	for _, tc := range []struct {
		name        string
		first, then group.Question
		asked       int64
	}{
		{"a message", message, message, 1},
		{"another message", message, group.Question{Event: group.AskMessage, UserID: "ana", GroupID: "g", Data: text("b")}, 1},
		{"another group", message, group.Question{Event: group.AskMessage, UserID: "ana", GroupID: "h", Data: text("a")}, 2},
		{"another user", message, group.Question{Event: group.AskMessage, UserID: "bo", GroupID: "g", Data: text("a")}, 2},
		{"another event", message, group.Question{Event: group.AskSignal, UserID: "ana", GroupID: "g", Data: text("a")}, 2},
		{"a group", create, create, 1},
		{"another new group", create, group.Question{Event: group.AskCreate, UserID: "ana", Data: dto.CreateRequest{Name: "b"}}, 2},
		{"to join", join, join, 1},
		{"to join with an invite", join, group.Question{Event: group.AskJoin, UserID: "ana", GroupID: "g", Data: group.Entering{By: "invite"}}, 2},
		{"to connect", group.Question{Event: Connect, UserID: "ana"}, group.Question{Event: Connect, UserID: "ana"}, 1},
	} {
		for body, want := range map[string]string{`{"allow":true,"ttl":60}`: "yes", `{"allow":false,"ttl":60}`: "refused"} {
			b := serve(t, says(body))
			g := newGatekeeper(t, b.URL, nil)
			for _, q := range []group.Question{tc.first, tc.then} {
				if got := outcome(t, g, q); got != want {
					t.Errorf("%s: %s, want %s", tc.name, got, want)
				}
			}
			if n := b.asked.Load(); n != tc.asked {
				t.Errorf("%s, %s: the back end was asked %d times, want %d", tc.name, body, n, tc.asked)
			}
		}
		b := serve(t, says(`{"allow":true}`))
		g := newGatekeeper(t, b.URL, nil)
		for range 2 {
			outcome(t, g, tc.first)
		}
		if n := b.asked.Load(); n != 2 {
			t.Errorf("%s, without ttl: the back end was asked %d times", tc.name, n)
		}
	}
}

func TestAnswersAreForgotten(t *testing.T) {
	t.Parallel()
	b := serve(t, says(`{"allow":true,"attributes":{"mine":7},"ttl":0.2}`))
	g := newGatekeeper(t, b.URL, nil)
	q := group.Question{Event: group.AskJoin, UserID: "ana", GroupID: "g"}
	waittest.Until(t, "the back end is asked again", func() bool {
		if got := outcome(t, g, q); got != `yes {"mine":7,"other":2}` {
			t.Fatal(got)
		}
		return b.asked.Load() >= 2
	})
}

func TestFailuresAreNotRemembered(t *testing.T) {
	t.Parallel()
	b := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, `{"allow":true,"ttl":60}`, http.StatusInternalServerError)
	})
	g := newGatekeeper(t, b.URL, func(c *Config) { c.Open = true })
	for range 3 {
		outcome(t, g, group.Question{Event: group.AskJoin, UserID: "ana"})
	}
	if n := b.asked.Load(); n != 3 {
		t.Errorf("the back end was asked %d times", n)
	}
}

func TestTTLIsBounded(t *testing.T) {
	t.Parallel()
	for ttl, want := range map[string]time.Duration{"0": 0, "1.5": 1500 * time.Millisecond, "3600": maxTTL, "1e300": maxTTL} {
		a, err := read(Connect, webhook.Answer{Status: http.StatusOK, Body: []byte(`{"allow":true,"ttl":` + ttl + `}`)})
		if err != nil || a.ttl != want {
			t.Errorf("ttl %s: %s, %v", ttl, a.ttl, err)
		}
	}
}

// TestMemoryIsBounded checks that the remembered answers stay within the limits on their
// number and size.
func TestMemoryIsBounded(t *testing.T) {
	t.Parallel()
	m, err := newMemory()
	if err != nil {
		t.Fatal(err)
	}
	a, err := read(group.AskCreate, webhook.Answer{Status: http.StatusOK, Body: []byte(`{"allow":true,"ttl":3600,"attributes":{"a":"` + strings.Repeat("x", 10<<10) + `"}}`)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5000 {
		m.keep(fmt.Sprint(i), a)
	}
	m.answers.CleanUp()
	if got := m.answers.WeightedSize(); got > memoryBytes || got < memoryBytes/2 {
		t.Errorf("the remembered answers take %d bytes", got)
	}
}
