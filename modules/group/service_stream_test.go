package group_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/socket/adapter"
)

func TestPost(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"g"}`)
	e, err := b.Post(t.Context(), user("member"), g.ID, servicetest.Decode[dto.MessageRequest](t, `{"data": {"text": "<hi>"} }`))
	if err != nil {
		t.Fatal(err)
	}
	if e.GroupID != g.ID || e.Version != g.Version+1 || e.Type != group.MessagePosted || *e.Actor != "member" ||
		string(e.Data) != `{"type":"message","data":{"text":"<hi>"}}` {
		t.Errorf("posted %+v %s", e, e.Data)
	}
	after := b.Read(t, g.ID)
	if after.Version != e.Version || after.Revision != g.Revision {
		t.Errorf("a message must change only the version: %+v", after)
	}
	_, err = b.Post(t.Context(), user("member"), g.ID, dto.MessageRequest{Data: json.RawMessage(`{`)})
	servicetest.WantCode(t, "data that is no JSON", err, "validation_failed")
	if diff := cmp.Diff([]string{"6 message.posted"}, b.Take()); diff != "" {
		t.Error(diff)
	}
}

func TestSignal(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"g"}`)
	req := servicetest.Decode[dto.SignalRequest](t, `{"type":"typing","to":["alice"]}`)
	if err := b.Signal(t.Context(), user("member"), g.ID, group.SignalSource{SocketID: "s1"}, req); err != nil {
		t.Fatal(err)
	}
	want := []adapter.Envelope{{
		Room: "group:" + g.ID, Event: "group:signal", Except: "s1", To: []string{"alice"}, Lossy: true,
		Data: []byte(`{"groupId":"` + g.ID + `","from":"member","type":"typing","data":null}`),
	}}
	// A signal to nobody is not sent, but the sender needs the permission anyway.
	nobody := servicetest.Decode[dto.SignalRequest](t, `{"type":"typing","to":[]}`)
	if err := b.Signal(t.Context(), user("member"), g.ID, group.SignalSource{}, nobody); err != nil {
		t.Error(err)
	}
	servicetest.WantCode(t, "a stranger's signal for nobody", b.Signal(t.Context(), user("stranger"), g.ID, group.SignalSource{}, nobody), "not_found")
	if diff := cmp.Diff(want, b.Signals); diff != "" {
		t.Error(diff)
	}
	// A subscriber needs no check here: the feed has checked their membership.
	if err := b.Signal(t.Context(), user("stranger"), g.ID, group.SignalSource{Subscribed: true}, req); err != nil {
		t.Error(err)
	}
	// If the feed knows that the caller may send, the database is not asked.
	heard := group.NewService(group.Config{}, group.Deps{Signaler: b, Senders: everybody{}})
	if err := heard.Signal(t.Context(), user("stranger"), g.ID, group.SignalSource{}, req); err != nil {
		t.Error(err)
	}
	servicetest.WantCode(t, "a signal without a type", b.Signal(t.Context(), alice, g.ID, group.SignalSource{}, dto.SignalRequest{}), "validation_failed")
}

// everybody allows every user to send.
type everybody struct{}

func (everybody) MaySend(auth.Identity, string) bool { return true }
func (everybody) Found(auth.Identity, string, int64) {}

// shortLog is a log whose first events were removed.
type shortLog struct {
	group.Log
	first int64
}

func (l shortLog) Read(ctx context.Context, id string, since int64, limit int, users []string) (group.LogPage, error) {
	page, err := l.Log.Read(ctx, id, max(since, l.first-1), limit, users)
	page.First = l.first
	return page, err
}

func TestEvents(t *testing.T) {
	t.Parallel()
	b := servicetest.New(t, group.Config{})
	g := b.NewGroup(t, `{"name":"g"}`) // the group has 5 events
	forgetful := group.NewService(group.Config{}, group.Deps{Repository: b.Store, Log: shortLog{b.Store, 3}})
	for _, c := range []struct {
		service *group.Service
		since   int64
		limit   int
		want    string
	}{
		{b.Service, 0, 10, "[1 2 3 4 5] 5 ok"},
		{b.Service, 2, 2, "[3 4] 4 ok"},
		{b.Service, 5, 10, "[] 5 ok"},
		{b.Service, 99, 10, "[] 5 ok"},
		{b.Service, -1, 10, "[] 0 validation_failed"},
		{forgetful, 2, 10, "[3 4 5] 5 ok"},
		{forgetful, 1, 10, "[] 0 log_truncated"},
		{forgetful, 0, 10, "[] 0 log_truncated"},
	} {
		events, version, err := c.service.Events(t.Context(), user("member"), g.ID, c.since, c.limit)
		versions := []int64{}
		for _, e := range events {
			versions = append(versions, e.Version)
		}
		if got := fmt.Sprint(versions, " ", version, " ", servicetest.Code(err)); got != c.want {
			t.Errorf("since %d, at most %d: %s, want %s", c.since, c.limit, got, c.want)
		}
	}
}
