package group

import (
	"context"
	"encoding/json"
	"time"
)

// Writes of a change. Counters and other derived data are not noted: uses of an invite,
// read marks, timers, departures.

func (r *recorder) SetGroup(ctx context.Context, g Group) error {
	err := r.Tx.SetGroup(ctx, g)
	r.note(kindGroup, "", r.group, r.Tx.Group())
	return err
}

func (r *recorder) SetOwner(ctx context.Context, userID string, at time.Time) error {
	err := r.Tx.SetOwner(ctx, userID, at)
	r.about[userID] = true
	r.note(kindGroup, "", r.group, r.Tx.Group())
	return err
}

func (r *recorder) Delete(ctx context.Context) error {
	r.note(kindGroup, "", r.group, nil)
	return r.Tx.Delete(ctx)
}

// Append notes messages. For other events it only notes that there is a change.
func (r *recorder) Append(ctx context.Context, typ EventType, actor string, data any) (Event, error) {
	e, err := r.Tx.Append(ctx, typ, actor, data)
	r.changed = true
	if err != nil {
		return e, err
	}
	switch typ {
	case MessagePosted:
		m, err := r.recordOf(ctx, e)
		if err != nil {
			return e, err
		}
		r.note(kindMessage, "", nil, m)
	case MessageEdited:
		r.messages[e.Version] = e
	}
	if i, ok := r.place[[2]string{kindGroup, ""}]; ok && r.notes[i].after != nil {
		r.notes[i].after = r.Tx.Group() // with the version and revision of the event
	}
	return e, nil
}

// SetData notes a message that the change has read. It ignores the data of edit and delete
// events, which is derived.
func (r *recorder) SetData(ctx context.Context, version int64, data json.RawMessage) error {
	if old, ok := r.messages[version]; ok && old.Type == MessagePosted {
		before, err := r.recordOf(ctx, old)
		if err != nil {
			return err
		}
		now := old
		now.Data = data
		after, err := r.recordOf(ctx, now)
		if err != nil {
			return err
		}
		if old.Actor != nil {
			r.about[*old.Actor] = true
		}
		r.note(kindMessage, "", before, after)
	}
	return r.Tx.SetData(ctx, version, data)
}

func (r *recorder) AddMember(ctx context.Context, m Member) error {
	noteOf(r, kindMembers, m.UserID, nil, &m)
	return r.Tx.AddMember(ctx, m)
}

func (r *recorder) SetMember(ctx context.Context, m Member) error {
	before, err := r.member(ctx, m.UserID)
	if err != nil {
		return err
	}
	noteOf(r, kindMembers, m.UserID, before, &m)
	return r.Tx.SetMember(ctx, m)
}

func (r *recorder) RemoveMember(ctx context.Context, userID string) error {
	before, err := r.member(ctx, userID)
	if err != nil {
		return err
	}
	noteOf(r, kindMembers, userID, before, nil)
	return r.Tx.RemoveMember(ctx, userID)
}

func (r *recorder) SetOffered(ctx context.Context, userID string) error {
	offerTo := func(id string) any {
		if id == "" {
			return nil
		}
		return subject{UserID: id}
	}
	if was := r.Tx.Offered(); was != userID {
		r.note(kindOffer, "", offerTo(was), offerTo(userID))
	}
	return r.Tx.SetOffered(ctx, userID)
}

func (r *recorder) SetBan(ctx context.Context, b Ban) error {
	o, err := r.outsider(ctx, b.UserID)
	if err != nil {
		return err
	}
	noteOf(r, kindBans, b.UserID, o.Ban, &b)
	return r.Tx.SetBan(ctx, b)
}

func (r *recorder) RemoveBan(ctx context.Context, userID string) error {
	o, err := r.outsider(ctx, userID)
	if err != nil {
		return err
	}
	if o.Ban != nil {
		noteOf(r, kindBans, userID, o.Ban, nil)
	}
	return r.Tx.RemoveBan(ctx, userID)
}

func (r *recorder) SetMute(ctx context.Context, m Mute) error {
	noteOf(r, kindMutes, m.UserID, r.mutes[m.UserID], &m)
	return r.Tx.SetMute(ctx, m)
}

func (r *recorder) RemoveMute(ctx context.Context, userID string) error {
	noteOf(r, kindMutes, userID, r.mutes[userID], nil)
	return r.Tx.RemoveMute(ctx, userID)
}

func (r *recorder) SetApplicant(ctx context.Context, a Applicant) error {
	noteOf(r, kindRequests, a.UserID, nil, &a)
	return r.Tx.SetApplicant(ctx, a)
}

func (r *recorder) RemoveApplicant(ctx context.Context, userID string) error {
	o, err := r.outsider(ctx, userID)
	if err != nil {
		return err
	}
	if o.Applicant != nil {
		noteOf(r, kindRequests, userID, o.Applicant, nil)
	}
	return r.Tx.RemoveApplicant(ctx, userID)
}

// invitationRecord is an invitation in an audit entry.
type invitationRecord struct {
	UserID    string    `json:"userId"`
	InvitedBy string    `json:"invitedBy"`
	At        time.Time `json:"at"`
	ExpiresAt time.Time `json:"expiresAt"`
}

func (r *recorder) SetInvitations(ctx context.Context, invitations []Invitation) error {
	for _, i := range invitations {
		o, err := r.outsider(ctx, i.UserID)
		if err != nil {
			return err
		}
		noteOf(r, kindInvitations, i.UserID, (*invitationRecord)(o.Invitation), new(invitationRecord(i)))
	}
	return r.Tx.SetInvitations(ctx, invitations)
}

func (r *recorder) RemoveInvitation(ctx context.Context, userID string) error {
	o, err := r.outsider(ctx, userID)
	if err != nil {
		return err
	}
	if o.Invitation != nil {
		noteOf(r, kindInvitations, userID, (*invitationRecord)(o.Invitation), nil)
	}
	return r.Tx.RemoveInvitation(ctx, userID)
}

func (r *recorder) AddInvite(ctx context.Context, i Invite, codeHash string) error {
	r.note(kindInvites, i.InviteID, nil, i)
	return r.Tx.AddInvite(ctx, i, codeHash)
}

func (r *recorder) RemoveInvite(ctx context.Context, inviteID string) (bool, error) {
	removed, err := r.Tx.RemoveInvite(ctx, inviteID)
	if removed {
		r.note(kindInvites, inviteID, inviteSubject{InviteID: inviteID}, nil)
	}
	return removed, err
}

func (r *recorder) RemoveInvitesOf(ctx context.Context, userID string) ([]string, error) {
	removed, err := r.Tx.RemoveInvitesOf(ctx, userID)
	for _, id := range removed {
		r.note(kindInvites, id, inviteSubject{InviteID: id}, nil)
	}
	return removed, err
}
