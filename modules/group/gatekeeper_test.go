package group_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/limit"
)

// keeper is a gatekeeper. A test sets its answers.
type keeper struct {
	events []string // the events to ask about; nil: all
	asked  []string
	refuse bool
	given  map[string]string // the attributes to answer with, by event
	during func()            // runs during each question
}

func (k *keeper) Asks(event string) bool { return k.events == nil || slices.Contains(k.events, event) }

func (k *keeper) Ask(_ context.Context, q group.Question) (v group.Verdict, err error) {
	data, err := json.Marshal(q.Data)
	if err != nil {
		return v, err
	}
	k.asked = append(k.asked, fmt.Sprint(q.Event, " ", q.UserID, " ", q.GroupID != "", " ", string(data)))
	if k.during != nil {
		k.during()
	}
	if k.refuse {
		return v, fault.ErrRefused
	}
	switch given := json.RawMessage(k.given[q.Event]); {
	case len(given) == 0:
	case q.Event == group.AskCreate:
		v.Attributes, err = dto.GroupAttributes(given)
	default:
		v.Attributes, err = dto.MemberAttributes(given)
	}
	return v, err
}

// take returns the questions since the last call.
func (k *keeper) take() []string {
	asked := k.asked
	k.asked = nil
	return asked
}

// guarded lists the calls that a gatekeeper is asked about. Before each call, a group is
// prepared. The call is made by guest.
var guarded = []struct {
	name   string
	body   string // of the request that creates the group
	before func(t *testing.T, b *servicetest.Bench, id string) string
	call   func(ctx context.Context, b *servicetest.Bench, id, prepared string) (any, error)
	want   string // the question
	events int    // number of events that the call announces
}{
	{
		name: "create",
		call: func(ctx context.Context, b *servicetest.Bench, _, _ string) (any, error) {
			return b.Create(ctx, guest, dto.CreateRequest{Name: "new", Attributes: json.RawMessage(`{"mine":1}`)})
		},
		want:   `create guest false {"name":"new","visibility":"private","joinPolicy":"invite","posting":"members","attributes":{"mine":1}}`,
		events: 1,
	},
	{
		name: "join", body: `{"name":"g","visibility":"public","joinPolicy":"open"}`,
		call: func(ctx context.Context, b *servicetest.Bench, id, _ string) (any, error) {
			return b.Join(ctx, guest, id)
		},
		want: `join guest true {"by":"open"}`, events: 1,
	},
	{
		name: "request to join", body: `{"name":"g","visibility":"public","joinPolicy":"request"}`,
		call: func(ctx context.Context, b *servicetest.Bench, id, _ string) (any, error) {
			return b.Join(ctx, guest, id)
		},
		want: `join guest true {"by":"request"}`, events: 1,
	},
	{
		name: "join by invitation", body: `{"name":"g","visibility":"public","joinPolicy":"invite"}`,
		before: invitation,
		call: func(ctx context.Context, b *servicetest.Bench, id, _ string) (any, error) {
			return b.Join(ctx, guest, id)
		},
		want: `join guest true {"by":"invitation"}`, events: 1,
	},
	{
		name: "accept an invitation", body: `{"name":"g"}`,
		before: invitation,
		call: func(ctx context.Context, b *servicetest.Bench, id, _ string) (any, error) {
			return b.AcceptInvitation(ctx, guest, id)
		},
		want: `join guest true {"by":"invitation"}`, events: 1,
	},
	{
		name: "accept an invite", body: `{"name":"g"}`,
		before: func(t *testing.T, b *servicetest.Bench, id string) string {
			t.Helper()
			made, err := b.Invite(t.Context(), alice, id, dto.InviteRequest{})
			if err != nil {
				t.Fatal(err)
			}
			return made.Code
		},
		call: func(ctx context.Context, b *servicetest.Bench, _, code string) (any, error) {
			return b.Accept(ctx, guest, code)
		},
		want: `join guest true {"by":"invite"}`, events: 1,
	},
	{
		name: "post", body: `{"name":"g"}`,
		before: membership,
		call: func(ctx context.Context, b *servicetest.Bench, id, _ string) (any, error) {
			return b.Post(ctx, guest, id, dto.MessageRequest{Data: json.RawMessage(`{"text":"hi"}`)})
		},
		want: `message guest true {"type":"message","data":{"text":"hi"}}`, events: 1,
	},
	{
		name: "edit", body: `{"name":"g"}`,
		before: func(t *testing.T, b *servicetest.Bench, id string) string {
			t.Helper()
			membership(t, b, id)
			return strconv.FormatInt(postAs(t, b, "guest", id, `"harmless"`), 10)
		},
		call: func(ctx context.Context, b *servicetest.Bench, id, version string) (any, error) {
			v, err := strconv.ParseInt(version, 10, 64)
			if err != nil {
				return nil, err
			}
			return b.EditMessage(ctx, guest, id, v, edit(`{"text":"hi"}`))
		},
		want: `message guest true {"type":"message","data":{"text":"hi"},"version":7}`, events: 1,
	},
	{
		name: "signal", body: `{"name":"g"}`,
		before: membership,
		call: func(ctx context.Context, b *servicetest.Bench, id, _ string) (any, error) {
			return nil, b.Signal(ctx, guest, id, group.SignalSource{}, dto.SignalRequest{Type: "wave", To: []string{"alice"}})
		},
		want: `signal guest true {"type":"wave","data":null,"to":["alice"]}`,
	},
}

var guest = user("guest")

func invitation(t *testing.T, b *servicetest.Bench, id string) string {
	t.Helper()
	if _, err := b.AddMembers(t.Context(), alice, id, dto.AddMembersRequest{UserIDs: []string{"guest"}}); err != nil {
		t.Fatal(err)
	}
	return ""
}

func membership(t *testing.T, b *servicetest.Bench, id string) string {
	t.Helper()
	if _, err := b.AddMembers(t.Context(), backend, id, dto.AddMembersRequest{UserIDs: []string{"guest"}}); err != nil {
		t.Fatal(err)
	}
	return ""
}

// stageFor prepares a group for the guarded call i. The gatekeeper is not asked meanwhile.
func stageFor(t *testing.T, i int) (b *servicetest.Bench, k *keeper, id, prepared string) {
	t.Helper()
	k = &keeper{events: []string{}}
	b = servicetest.NewGuarded(t, group.Config{}, k)
	body := guarded[i].body
	if body == "" {
		body = `{"name":"g"}`
	}
	id = b.NewGroup(t, body).ID
	if before := guarded[i].before; before != nil {
		prepared = before(t, b, id)
	}
	b.Take()
	k.events = nil
	return b, k, id, prepared
}

// TestGatekeeper checks the question of each guarded call. Another user changes the group
// during the question, so no transaction may be open then.
func TestGatekeeper(t *testing.T) {
	t.Parallel()
	for i, tc := range guarded {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b, k, id, prepared := stageFor(t, i)
			k.during = func() {
				name := "renamed"
				if _, err := b.Update(t.Context(), alice, id, nil, dto.UpdateRequest{Name: &name}); err != nil {
					t.Errorf("while the gatekeeper is asked: %v", err)
				}
				b.Take()
			}
			if _, err := tc.call(t.Context(), b, id, prepared); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff([]string{tc.want}, k.take()); diff != "" {
				t.Errorf("asked (-want +got):\n%s", diff)
			}
			if got := len(b.Take()) + len(b.Signals); got != max(tc.events, 1) {
				t.Errorf("%d events and signals were sent", got)
			}
		})
	}
}

// TestGatekeeperRefuses checks that a refused call changes nothing, and that its key can be
// used again.
func TestGatekeeperRefuses(t *testing.T) {
	t.Parallel()
	for i, tc := range guarded {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b, k, id, prepared := stageFor(t, i)
			before := b.Read(t, id)
			k.refuse = true
			for range 2 {
				if _, err := tc.call(group.WithKey(t.Context(), "key"), b, id, prepared); !errors.Is(err, fault.ErrRefused) {
					t.Error(err)
				}
			}
			if diff := cmp.Diff(before, b.Read(t, id)); diff != "" {
				t.Errorf("the group changed:\n%s", diff)
			}
			if got := len(b.Take()) + len(b.Signals); got != 0 {
				t.Errorf("%d events and signals were sent", got)
			}
			if groups, err := b.ListMine(t.Context(), guest, "", 10); err != nil || tc.before == nil && len(groups) != 0 {
				t.Errorf("the user has the groups %v, %v", groups, err)
			}
			k.refuse = false // the refused calls did not use up the key
			if _, err := tc.call(group.WithKey(t.Context(), "key"), b, id, prepared); err != nil || len(k.take()) != 3 {
				t.Error(err)
			}
		})
	}
}

// TestRepeatsAreNotAsked repeats each call with its key. The gatekeeper would now refuse
// it, but a repeat must return the first answer without a question.
func TestRepeatsAreNotAsked(t *testing.T) {
	t.Parallel()
	for i, tc := range guarded {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			b, k, id, prepared := stageFor(t, i)
			k.given = map[string]string{group.AskCreate: `{"plan":"pro"}`, group.AskJoin: `{"team":"red"}`}
			ctx := group.WithKey(t.Context(), "key")
			first, err := tc.call(ctx, b, id, prepared)
			if err != nil || len(k.take()) != 1 {
				t.Fatal(err)
			}
			k.refuse = true
			again, err := tc.call(ctx, b, id, prepared)
			if err != nil || len(k.take()) != 0 {
				t.Errorf("a repeat: %v, asked %v", err, k.asked)
			}
			if diff := cmp.Diff(asJSON(t, first), asJSON(t, again)); diff != "" {
				t.Errorf("a repeat has another answer:\n%s", diff)
			}
			other, err := b.Create(t.Context(), backend, dto.CreateRequest{Name: "other", OwnerID: "guest"})
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.Post(ctx, guest, other.ID, dto.MessageRequest{Data: json.RawMessage(`2`)})
			if !errors.Is(err, group.ErrIdempotencyMismatch) {
				t.Errorf("another call under the key: %v", err)
			}
		})
	}
}

// refusalOf returns the code of an error, or "" for nil.
func refusalOf(err error) string {
	if err == nil {
		return ""
	}
	return fault.From(err).Code
}

func asJSON(t *testing.T, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// TestJoinsAreChargedOnce checks that a join counts once against the limit of joins, even
// though its checks run twice. The back end is asked only while the limit allows a join.
func TestJoinsAreChargedOnce(t *testing.T) {
	t.Parallel()
	for burst := range int64(3) {
		if burst == 0 {
			continue
		}
		limits, err := limit.New(limit.Config{UserJoins: limit.Rate{Count: 1, Per: 24 * time.Hour, Burst: burst}}, limit.Deps{Log: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		k, store, recorder := &keeper{refuse: true}, servicetest.OpenStore(t), &servicetest.Recorder{}
		s := group.NewService(group.Config{}, group.Deps{Repository: store, Log: store, Announcer: recorder, Signaler: recorder, Gatekeeper: k, Limits: limits})
		g, err := s.Create(t.Context(), backend, dto.CreateRequest{Name: "g", Visibility: "public", JoinPolicy: "open"})
		if err != nil {
			t.Fatal(err)
		}
		for n := range burst + 1 {
			_, err := s.Join(t.Context(), guest, g.ID)
			want, asked := fault.ErrRefused, 1
			if n == burst {
				want, asked = fault.ErrRateLimited, 0
			}
			if got := k.take(); !errors.Is(err, want) || len(got) != asked {
				t.Errorf("join %d of %d: %v, asked %v", n+1, burst, err, got)
			}
		}
		k.refuse = false
		if _, err := s.Join(t.Context(), user("bo"), g.ID); err != nil {
			t.Errorf("a user's only join: %v", err)
		}
	}
}

// TestRulesAreCheckedAfterwards bans the user while the gatekeeper is asked. The group's
// rules must be checked again after the answer.
func TestRulesAreCheckedAfterwards(t *testing.T) {
	t.Parallel()
	for i, tc := range guarded {
		b, k, id, prepared := stageFor(t, i)
		want := "banned"
		switch tc.name {
		case "create":
			continue // creating a group has no rules that can change
		case "accept an invitation":
			want = "not_found"
		case "post", "edit", "signal":
			want = "not_found"
		}
		k.during = func() {
			if _, err := b.Ban(t.Context(), alice, id, "guest", dto.BanRequest{}); err != nil {
				t.Error(err)
			}
		}
		if _, err := tc.call(t.Context(), b, id, prepared); err == nil || refusalOf(err) != want {
			t.Errorf("%s: %v, want %s", tc.name, err, want)
		}
	}
}
