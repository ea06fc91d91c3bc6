package console

import (
	"context"
	"time"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/socket"
)

// Groups holds the methods of the group service that the console needs. group.Service
// implements it.
type Groups interface {
	Records
	People
	Applications

	Audit(ctx context.Context, caller auth.Identity, f audit.Filter, before string, limit int) ([]audit.Entry, error)
	TallyUser(ctx context.Context, caller auth.Identity, userID string) (group.UserTally, error)
	ListGroupsOf(ctx context.Context, caller auth.Identity, userID, before string, limit int) ([]group.Membership, error)
	RenameUser(ctx context.Context, caller auth.Identity, userID string, req dto.RenameRequest) (jobID string, err error)
	RevokeTokens(ctx context.Context, caller auth.Identity, tokens group.TokenRevoker, userID string, req dto.RevokeRequest) error
	DisconnectUser(ctx context.Context, caller auth.Identity, userID string, disconnect func() error) error
}

// Records is the part of [Groups] that finds, reads and changes groups.
type Records interface {
	Find(ctx context.Context, caller auth.Identity, f group.Filter, after string, limit int) ([]group.FoundGroup, error)
	Get(ctx context.Context, caller auth.Identity, groupID string) (group.Group, error)
	Create(ctx context.Context, caller auth.Identity, req dto.CreateRequest) (group.Group, error)
	Update(ctx context.Context, caller auth.Identity, groupID string, revision *int64, req dto.UpdateRequest) (group.Group, error)
	Delete(ctx context.Context, caller auth.Identity, groupID string, revision *int64) error
	Events(ctx context.Context, caller auth.Identity, groupID string, since int64, limit int) ([]group.Event, int64, error)
	Post(ctx context.Context, caller auth.Identity, groupID string, req dto.MessageRequest) (group.Event, error)
	Timers(ctx context.Context, caller auth.Identity, after string, limit int) ([]group.Timer, error)
	Presence(ctx context.Context, caller auth.Identity, groupID, after string, limit int) ([]group.Present, error)
}

// People is the part of [Groups] about members.
type People interface {
	Members(ctx context.Context, caller auth.Identity, groupID, after string, limit int) ([]group.ListedMember, int64, error)
	Member(ctx context.Context, caller auth.Identity, groupID, userID string) (group.Member, error)
	AddMembers(ctx context.Context, caller auth.Identity, groupID string, req dto.AddMembersRequest) (group.AddedMembers, error)
	UpdateMember(ctx context.Context, caller auth.Identity, groupID, userID string, req dto.UpdateMemberRequest) (group.Member, error)
	RemoveMember(ctx context.Context, caller auth.Identity, groupID, userID string, keepInvites bool) error
	Mute(ctx context.Context, caller auth.Identity, groupID, userID string, req dto.MuteRequest) (group.Mute, error)
	Unmute(ctx context.Context, caller auth.Identity, groupID, userID string) error
	Transfer(ctx context.Context, caller auth.Identity, groupID string, revision *int64, req dto.TransferRequest) (group.Transferred, error)
}

// Applications is the part of [Groups] about users who are not members.
type Applications interface {
	Applicants(ctx context.Context, caller auth.Identity, groupID, after string, limit int) ([]group.Applicant, error)
	Approve(ctx context.Context, caller auth.Identity, groupID, userID string) (group.Member, error)
	Reject(ctx context.Context, caller auth.Identity, groupID, userID string) error
	Invites(ctx context.Context, caller auth.Identity, groupID, before string, limit int) ([]group.Invite, error)
	Invite(ctx context.Context, caller auth.Identity, groupID string, req dto.InviteRequest) (group.NewInvite, error)
	Revoke(ctx context.Context, caller auth.Identity, groupID, inviteID string) error
	Bans(ctx context.Context, caller auth.Identity, groupID, after string, limit int) ([]group.Ban, error)
	Ban(ctx context.Context, caller auth.Identity, groupID, userID string, req dto.BanRequest) (group.Ban, error)
	Mutes(ctx context.Context, caller auth.Identity, groupID, after string, limit int) ([]group.Mute, error)
	Unban(ctx context.Context, caller auth.Identity, groupID, userID string) error
}

// Users knows the sockets of users on all nodes. socket.Emitter implements it.
type Users interface {
	// DisconnectUser closes a user's sockets.
	DisconnectUser(ctx context.Context, userID string) error
	// SocketsOfUser returns a user's sockets, and the names of nodes that did not
	// answer before ctx ended. After an error, sockets of other nodes may be missing.
	SocketsOfUser(ctx context.Context, userID string) (found []socket.Info, missing []string, err error)
}

// logEvery is the interval at which an open page reads the log of a group again.
const logEvery = 2 * time.Second

// views returns all pages that need a session, in the order of the menu.
func (c *Console) views() []*view {
	const inGroup = "groups/:groupId"
	views := []*view{
		{path: "", title: "Overview", menu: true, file: "overview.html", data: c.overview, live: sampleEvery},
		{path: "groups", title: "Groups", menu: true, file: "groups.html", data: c.groups, forms: map[string]form{"create": c.createGroup}},
		{path: inGroup, title: "Group", file: "group.html", data: c.group, forms: map[string]form{
			"edit": c.editGroup, "end": c.endGroup, "extend": c.extendGroup, "delete": c.deleteGroup,
		}},
		{path: inGroup + "/members", title: "Members", file: "members.html", data: c.members, forms: map[string]form{"add": c.addMembers}},
		{path: inGroup + "/member", title: "Member", file: "member.html", data: c.member, forms: map[string]form{
			"role": c.changeRole, "attributes": c.changeAttributes, "mute": c.mute, "unmute": c.unmute,
			"remove": c.removeMember, "ban": c.banUser, "transfer": c.transferGroup,
		}},
		{path: inGroup + "/log", title: "Log", file: "log.html", data: c.log, live: logEvery},
		{path: inGroup + "/presence", title: "Presence", file: "presence.html", data: c.presence, live: sampleEvery},
		{path: inGroup + "/requests", title: "Requests", file: "requests.html", data: c.requests, forms: map[string]form{
			"approve": c.approve, "reject": c.reject,
		}},
		{path: inGroup + "/invites", title: "Invites", file: "invites.html", data: c.invites, forms: map[string]form{
			"create": c.createInvite, "revoke": c.revokeInvite,
		}},
		{path: inGroup + "/bans", title: "Bans", file: "bans.html", data: c.bans, forms: map[string]form{
			"ban": c.banOther, "unban": c.unban,
		}},
		{path: inGroup + "/mutes", title: "Mutes", file: "mutes.html", data: c.mutes, forms: map[string]form{"unmute": c.unmuteOther}},
		{path: "user", title: "Users", menu: true, file: "user.html", data: c.user, forms: map[string]form{
			"disconnect": c.disconnectUser, "rename": c.renameUser, "revoke": c.revokeTokens,
		}},
		{path: "schedule", title: "Schedule", menu: true, file: "schedule.html", data: c.schedule},
		{path: "hooks", title: "Hooks", menu: true, file: "hooks.html", data: c.hooks},
		{path: "hook", title: "Hook", file: "hook.html", data: c.hook, forms: map[string]form{
			"enable": c.enableHook, "disable": c.disableHook, "resume": c.resumeHook, "test": c.testHook,
		}},
		{path: "configuration", title: "Configuration", menu: true, file: "configuration.html", data: c.configuration},
		{path: "audit", title: "Audit", menu: true, file: "audit.html", data: c.audit},
	}
	if c.deps.Mint != nil {
		views = append(views, &view{path: "try", title: "Try", menu: true, file: "try.html", data: c.try, forms: map[string]form{
			"token": c.tryToken, "post": c.tryPost,
		}})
	}
	return views
}
