package console

import (
	"cmp"
	"context"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/socket"
)

// socketsWithin limits the time that nodes have to report a user's sockets.
const socketsWithin = 2 * time.Second

// maxSockets is the maximum number of a user's sockets on a page.
const maxSockets = 200

// userPage is the data of the view Users.
type userPage struct {
	formPage
	UserID  string // if empty, the page asks for it
	Tally   group.UserTally
	Sockets []socket.Info
	More    int      // number of sockets that are not shown
	Missing []string // nodes that did not answer
	Partial bool     // sockets of other nodes may be missing
	Groups  table[group.Membership]
}

func (p userPage) heading() string { return cmp.Or(p.UserID, "Users") }

// user shows a user's groups and sockets.
func (c *Console) user(ctx context.Context, v visit) (any, error) {
	page := userPage{formPage: v.forms(), UserID: idOf(v)}
	if page.UserID == "" {
		return page, nil
	}
	var err error
	if page.Tally, err = c.deps.Groups.TallyUser(ctx, v.caller, page.UserID); err != nil {
		return nil, err
	}
	asking, cancel := context.WithTimeout(ctx, socketsWithin)
	defer cancel()
	page.Sockets, page.Missing, err = c.deps.Users.SocketsOfUser(asking, page.UserID)
	page.Partial = err != nil
	slices.SortFunc(page.Sockets, func(a, b socket.Info) int {
		return cmp.Or(a.Since.Compare(b.Since), strings.Compare(a.ID, b.ID))
	})
	if page.More = len(page.Sockets) - maxSockets; page.More > 0 {
		page.Sockets = page.Sockets[:maxSockets]
	}
	page.Groups, err = list(v, func(m group.Membership) string { return m.ID }, func(before string, limit int) ([]group.Membership, error) {
		return c.deps.Groups.ListGroupsOf(ctx, v.caller, page.UserID, before, limit)
	})
	return page, err
}

func idOf(v visit) string { return v.g.Query("id") }

func (c *Console) disconnectUser(ctx context.Context, v visit) (outcome, error) {
	id := idOf(v)
	err := c.deps.Groups.DisconnectUser(ctx, v.caller, id, func() error {
		if err := c.deps.Users.DisconnectUser(ctx, id); err != nil {
			return fault.ErrUnavailable.WithMessage("not every node could be told; try again").WithCause(err)
		}
		return nil
	})
	return outcome{to: userLink(id), notice: "disconnected"}, err
}

func (c *Console) renameUser(ctx context.Context, v visit) (outcome, error) {
	_, err := c.deps.Groups.RenameUser(ctx, v.caller, idOf(v), dto.RenameRequest{Name: v.sent("name")})
	return outcome{to: userLink(idOf(v)), notice: "renaming"}, err
}

func (c *Console) revokeTokens(ctx context.Context, v visit) (outcome, error) {
	err := c.deps.Groups.RevokeTokens(ctx, v.caller, c.deps.Tokens, idOf(v), dto.RevokeRequest{})
	return outcome{to: userLink(idOf(v)), notice: "cut-off"}, err
}

// userLink returns the address of a user's page, relative to itself.
func userLink(id string) string { return "?id=" + url.QueryEscape(id) }
