package group_test

import (
	"context"
	"encoding/json"
	"testing"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
)

// auditStep is a call of a back end, and the audit entry that it must leave.
type auditStep struct {
	want    string // the action, the user, and the records before and after the change
	prepare func(p *prepared) error
	do      func(ctx context.Context, p *prepared) error
	keyless bool // the call takes no idempotency key
}

// prepared is a group on which a step is made. The back end has the same id as a user.
type prepared struct {
	*servicetest.Bench
	t   *testing.T
	ctx context.Context
	id  string

	message int64
	invite  group.NewInvite
}

// itself is the user with the same id as the back end.
var itself = user("backend")

func (p *prepared) invited() error {
	_, err := p.AddMembers(p.ctx, alice, p.id, dto.AddMembersRequest{UserIDs: []string{"backend"}})
	return err
}

func (p *prepared) joined() error {
	if err := p.invited(); err != nil {
		return err
	}
	_, err := p.AcceptInvitation(p.ctx, itself, p.id)
	return err
}

func (p *prepared) offered() error {
	if err := p.joined(); err != nil {
		return err
	}
	_, err := p.Transfer(p.ctx, alice, p.id, nil, dto.TransferRequest{UserID: "backend"})
	return err
}

func (p *prepared) asked() error {
	_, err := p.Join(p.ctx, user("eve"), p.id)
	return err
}

func (p *prepared) askedItself() error {
	_, err := p.Join(p.ctx, itself, p.id)
	return err
}

func (p *prepared) posted() error {
	e, err := p.Post(p.ctx, user("member"), p.id, dto.MessageRequest{Data: json.RawMessage(`"hi"`)})
	p.message = e.Version
	return err
}

func (p *prepared) hasInvite() (err error) {
	p.invite, err = p.Invite(p.ctx, alice, p.id, dto.InviteRequest{})
	return err
}

func (p *prepared) adminInvited() (err error) {
	p.invite, err = p.Invite(p.ctx, user("admin"), p.id, dto.InviteRequest{})
	return err
}

func (p *prepared) banned() error {
	_, err := p.Ban(p.ctx, alice, p.id, "eve", dto.BanRequest{})
	return err
}

func (p *prepared) muted() error {
	_, err := p.Mute(p.ctx, alice, p.id, "member", dto.MuteRequest{})
	return err
}

func second[T any](_ T, err error) error { return err }

// The steps cover every action of the permission table that changes a group, and some
// others.
var auditSteps = []auditStep{
	{want: "create ann: → group=new/ann", do: func(ctx context.Context, p *prepared) error {
		return second(p.Create(ctx, backend, servicetest.Decode[dto.CreateRequest](p.t, `{"name":"new","ownerId":"ann"}`)))
	}},
	{want: "update : group=g/alice → group=h/alice", do: func(ctx context.Context, p *prepared) error {
		return second(p.Update(ctx, backend, p.id, nil, servicetest.Decode[dto.UpdateRequest](p.t, `{"name":"h"}`)))
	}},
	{want: "delete : group=g/alice →", do: func(ctx context.Context, p *prepared) error {
		return p.Delete(ctx, backend, p.id, nil)
	}},
	{want: "join backend: → members=backend", do: func(ctx context.Context, p *prepared) error {
		return second(p.Join(ctx, backend, p.id))
	}},
	{want: "join backend: invitations=backend → members=backend", prepare: (*prepared).invited, do: func(ctx context.Context, p *prepared) error {
		return second(p.Join(ctx, backend, p.id))
	}},
	{want: "leave backend: members=backend →", prepare: (*prepared).joined, do: func(ctx context.Context, p *prepared) error {
		return p.Leave(ctx, backend, p.id)
	}},
	{want: "leave member: members=member →", do: func(ctx context.Context, p *prepared) error {
		return p.LeaveFor(ctx, backend, p.id, servicetest.Decode[dto.LeaveRequest](p.t, `{"userId":"member"}`))
	}},
	{want: "introduce backend: members=backend → members=backend", prepare: (*prepared).joined, do: func(ctx context.Context, p *prepared) error {
		return second(p.Introduce(ctx, backend, p.id, servicetest.Decode[dto.IntroduceRequest](p.t, `{"name":"Bot"}`)))
	}},
	{want: "post : → message=\"hello\"", do: func(ctx context.Context, p *prepared) error {
		return second(p.Post(ctx, backend, p.id, dto.MessageRequest{Data: json.RawMessage(`"hello"`)}))
	}},
	{want: "edit-message member: message=\"hi\" → message=\"ho\"", prepare: (*prepared).posted, do: func(ctx context.Context, p *prepared) error {
		return second(p.EditMessage(ctx, backend, p.id, p.message, dto.EditMessageRequest{Data: json.RawMessage(`"ho"`)}))
	}},
	{want: "delete-message member: message=\"hi\" → message=null", prepare: (*prepared).posted, do: func(ctx context.Context, p *prepared) error {
		return second(p.DeleteMessage(ctx, backend, p.id, p.message))
	}},
	{want: "add-members eve: → members=eve", do: func(ctx context.Context, p *prepared) error {
		return second(p.AddMembers(ctx, backend, p.id, dto.AddMembersRequest{UserIDs: []string{"eve"}}))
	}},
	{want: "add-members : requests=eve → members=fay,eve", prepare: (*prepared).asked, do: func(ctx context.Context, p *prepared) error {
		return second(p.AddMembers(ctx, backend, p.id, dto.AddMembersRequest{UserIDs: []string{"fay", "eve", "member"}}))
	}},
	{want: "answer-invitation backend: invitations=backend → members=backend", prepare: (*prepared).invited, do: func(ctx context.Context, p *prepared) error {
		return second(p.AcceptInvitation(ctx, backend, p.id))
	}},
	{want: "answer-invitation backend: invitations=backend →", prepare: (*prepared).invited, do: func(ctx context.Context, p *prepared) error {
		return p.DeclineInvitation(ctx, backend, p.id)
	}},
	{want: "change-member member: members=member → members=member", do: func(ctx context.Context, p *prepared) error {
		return second(p.UpdateMember(ctx, backend, p.id, "member", servicetest.Decode[dto.UpdateMemberRequest](p.t, `{"role":"admin"}`)))
	}},
	{want: "change-member admin: invites=invite;members=admin → members=admin", prepare: (*prepared).adminInvited, do: func(ctx context.Context, p *prepared) error {
		req := servicetest.Decode[dto.UpdateMemberRequest](p.t, `{"role":"member"}`)
		req.RevokeInvites = true
		return second(p.UpdateMember(ctx, backend, p.id, "admin", req))
	}},
	{want: "remove-member member: members=member →", do: func(ctx context.Context, p *prepared) error {
		return p.RemoveMember(ctx, backend, p.id, "member", false)
	}},
	{want: "answer-request eve: requests=eve → members=eve", prepare: (*prepared).asked, do: func(ctx context.Context, p *prepared) error {
		return second(p.Approve(ctx, backend, p.id, "eve"))
	}},
	{want: "answer-request eve: requests=eve →", prepare: (*prepared).asked, do: func(ctx context.Context, p *prepared) error {
		return p.Reject(ctx, backend, p.id, "eve")
	}},
	{want: "withdraw-request backend: requests=backend →", prepare: (*prepared).askedItself, do: func(ctx context.Context, p *prepared) error {
		return p.Withdraw(ctx, backend, p.id)
	}},
	{want: "invite : → invites=invite", do: func(ctx context.Context, p *prepared) error {
		return second(p.Invite(ctx, backend, p.id, dto.InviteRequest{}))
	}},
	{want: "invite : invites=invite →", prepare: (*prepared).hasInvite, do: func(ctx context.Context, p *prepared) error {
		return p.Revoke(ctx, backend, p.id, p.invite.InviteID)
	}},
	{want: "accept-invite backend: → members=backend", prepare: (*prepared).hasInvite, do: func(ctx context.Context, p *prepared) error {
		return second(p.Accept(ctx, backend, p.invite.Code))
	}},
	{want: "ban member: members=member → bans=member", do: func(ctx context.Context, p *prepared) error {
		return second(p.Ban(ctx, backend, p.id, "member", dto.BanRequest{}))
	}},
	{want: "ban eve: bans=eve → bans=eve", prepare: (*prepared).banned, do: func(ctx context.Context, p *prepared) error {
		return second(p.Ban(ctx, backend, p.id, "eve", dto.BanRequest{Reason: "spam"}))
	}},
	{want: "ban eve: bans=eve →", prepare: (*prepared).banned, do: func(ctx context.Context, p *prepared) error {
		return p.Unban(ctx, backend, p.id, "eve")
	}},
	{want: "mute member: → mutes=member", do: func(ctx context.Context, p *prepared) error {
		return second(p.Mute(ctx, backend, p.id, "member", dto.MuteRequest{}))
	}},
	{want: "mute member: mutes=member →", prepare: (*prepared).muted, do: func(ctx context.Context, p *prepared) error {
		return p.Unmute(ctx, backend, p.id, "member")
	}},
	{want: "transfer member: group=g/alice → group=g/member", do: func(ctx context.Context, p *prepared) error {
		return second(p.Transfer(ctx, backend, p.id, nil, dto.TransferRequest{UserID: "member"}))
	}},
	{want: "transfer : offer=backend →", prepare: (*prepared).offered, do: func(ctx context.Context, p *prepared) error {
		return second(p.Transfer(ctx, backend, p.id, nil, dto.TransferRequest{UserID: "alice"}))
	}},
	{want: "answer-offer backend: group=g/alice → group=g/backend", prepare: (*prepared).offered, do: func(ctx context.Context, p *prepared) error {
		return second(p.AcceptOwner(ctx, backend, p.id))
	}},
	{want: "answer-offer : offer=backend →", prepare: (*prepared).offered, do: func(ctx context.Context, p *prepared) error {
		return p.DeclineOwner(ctx, backend, p.id)
	}},
	{want: "rename-user member: → user=Mo", keyless: true, do: func(ctx context.Context, p *prepared) error {
		return second(p.RenameUser(ctx, backend, "member", servicetest.Decode[dto.RenameRequest](p.t, `{"name":"Mo"}`)))
	}},
	{want: "erase-user ann: → job=", keyless: true, do: func(ctx context.Context, p *prepared) error {
		return second(p.EraseUser(ctx, backend, "ann"))
	}},
	{want: "disconnect-user member: →", do: func(ctx context.Context, p *prepared) error {
		return p.DisconnectUser(ctx, backend, "member", func() error { return nil })
	}},
}

// newPrepared creates a group and prepares it for a step. Calls of users must leave no
// audit entry.
func newPrepared(t *testing.T, b *servicetest.Bench, s auditStep) *prepared {
	t.Helper()
	p := &prepared{Bench: b, t: t, ctx: t.Context(), id: b.NewGroup(t, `{"name":"g","visibility":"public","joinPolicy":"request"}`).ID}
	if s.prepare == nil {
		return p
	}
	last := newest(t, b)
	if err := s.prepare(p); err != nil {
		t.Fatal(err)
	}
	if now := newest(t, b); now != last {
		t.Errorf("calls of users left entry %s", now)
	}
	return p
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}
