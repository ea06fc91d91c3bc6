package group_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/group"
)

func TestTransfer(t *testing.T) {
	t.Parallel()
	b := newBench(t, group.Config{})
	ctx := t.Context()
	g := b.group(t, `{"name":"g"}`)
	b.now = b.now.Add(time.Minute)
	got, err := b.Transfer(ctx, alice, g.ID, &g.Revision, group.TransferRequest{UserID: "member"})
	if err != nil {
		t.Fatal(err)
	}
	want := g
	want.OwnerID, want.Version, want.Revision, want.UpdatedAt = "member", g.Version+1, g.Version+1, b.now.Truncate(time.Microsecond)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(want, b.read(t, g.ID)); diff != "" {
		t.Errorf("read back: %s", diff)
	}
	if len(b.events) != 1 || b.events[0].Type != group.OwnerTransferred || string(b.events[0].Data) != `{"from":"alice","to":"member"}` {
		t.Errorf("told of %+v", b.events)
	}
	b.take()
	for id, role := range map[string]group.Role{"alice": group.Admin, "member": group.Owner} {
		if m, err := b.Member(ctx, backend, g.ID, id); err != nil || m.Role != role {
			t.Errorf("%s is %+v, %v; want %s", id, m, err, role)
		}
	}
	again, err := b.Transfer(ctx, backend, g.ID, nil, group.TransferRequest{UserID: "member"})
	if err != nil || again.Version != got.Version || b.take() != nil {
		t.Errorf("handing over to the owner: %+v, %v", again, err)
	}
	_, err = b.Transfer(ctx, user("member"), g.ID, &g.Revision, group.TransferRequest{UserID: "alice"})
	wantCode(t, "by an old revision", err, "version_conflict")
	_, err = b.Transfer(ctx, user("member"), g.ID, nil, group.TransferRequest{})
	wantCode(t, "to no id", err, "validation_failed")
	wantCode(t, "the former owner leaving", b.Leave(ctx, alice, g.ID), "ok")
}

func TestTransferDropsTheCachedRecord(t *testing.T) {
	t.Parallel()
	c, store, records := newCached(t)
	fill(t, c, "g")
	change(t, c, "g", func(tx group.Tx) error {
		if err := tx.AddMember(t.Context(), group.Member{UserID: "bo", Role: group.MemberRole, JoinedAt: time.Now()}); err != nil {
			return err
		}
		_, err := tx.Append(t.Context(), group.MemberJoined, "bo", struct{}{})
		return err
	})
	same(t, c, store, "g", "ana")
	change(t, c, "g", func(tx group.Tx) error {
		if err := tx.SetOwner(t.Context(), "bo", time.Now()); err != nil {
			return err
		}
		_, err := tx.Append(t.Context(), group.OwnerTransferred, "ana", struct{}{})
		return err
	})
	if drops(t, records, "group:g") != 1 {
		t.Error("the transfer left the old record in the cache")
	}
	same(t, c, store, "g", "ana")
	same(t, c, store, "g", "bo")
}
