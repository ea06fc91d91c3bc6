package api

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/web"
)

type createInput struct {
	Once
	Sent[dto.CreateRequest]
}

type createAnswer struct {
	Location string `header:"Location" doc:"the group, relative to the URL of the request: right below any prefix"`
	ETag     string `header:"ETag" doc:"revision of the group, in quotes"`
	Body     group.Group
}

type updateInput struct {
	OneGroup
	Condition
	Sent[dto.UpdateRequest]
}

type deleteInput struct {
	OneGroup
	Condition
}

type findInput struct {
	Visibility string `query:"visibility" enum:"public" doc:"users find public groups only; a back end that leaves it out finds all groups"`
	Query      string `query:"q" doc:"part of the name of a group; at most 200 characters"`
	OwnerID    string `query:"ownerId" doc:"groups of this owner; for back ends only"`
	Sort       string `query:"sort" enum:"newest,active,members" doc:"newest (default), active: the group with the last event first, or members: the group with the most members first; for back ends only"`
	Deleted    bool   `query:"deleted" doc:"deleted groups that are not yet removed; for back ends only"`
	web.Paging
	attributes map[string]string
}

// attributePrefix is the prefix of query parameters that filter by attributes:
// attr.level=3.
const attributePrefix = "attr."

// Resolve implements huma.Resolver. It reads the parameters whose names are not declared.
func (in *findInput) Resolve(ctx huma.Context) []error {
	url := ctx.URL()
	for name, values := range url.Query() {
		key, ok := strings.CutPrefix(name, attributePrefix)
		if !ok {
			continue
		}
		if len(values) > 1 {
			return []error{&huma.ErrorDetail{Location: "query." + name, Message: "must be given once"}}
		}
		if in.attributes == nil {
			in.attributes = make(map[string]string)
		}
		in.attributes[key] = values[0]
	}
	return nil
}

type mineInput struct{ web.Paging }

func (c *Controller) registerGroups() {
	register(c, operation(http.MethodPost, "/groups", "create-group",
		"Create a group that the caller owns, or a user whom a back end names", http.StatusCreated, "403 forbidden, refused", "409 limit_reached"), c.create)
	find := operation(http.MethodGet, "/groups", "find-groups",
		"Find public groups, newest first; a back end finds all groups", http.StatusOK,
		"403 forbidden", "422 validation_failed")
	find.Description = "For a back end, attr.NAME=VALUE finds the groups with an attribute, such as attr.level=3. Up to five can be given: a group must have all."
	register(c, find, c.find)
	register(c, operation(http.MethodGet, "/me/groups", "my-groups",
		"List the caller's groups, newest first", http.StatusOK, "422 validation_failed"), c.mine)
	register(c, operation(http.MethodGet, "/groups/{groupId}", "get-group",
		"Read a group", http.StatusOK, hidden), c.get)
	register(c, operation(http.MethodPatch, "/groups/{groupId}", "update-group",
		"Change a group with a JSON merge patch (RFC 7396)", http.StatusOK,
		hidden, notEnough, "409 group_full, group_ended", "412 version_conflict"), c.update)
	register(c, operation(http.MethodDelete, "/groups/{groupId}", "delete-group",
		"Delete a group", http.StatusNoContent, hidden, notEnough, "412 version_conflict"), c.remove)
}

func (c *Controller) create(ctx context.Context, in *createInput) (*createAnswer, error) {
	g, err := c.service.Create(in.once(ctx), web.Caller(ctx), in.Body)
	if err != nil {
		return nil, err
	}
	return &createAnswer{Location: "groups/" + g.ID, ETag: web.ETag(g.Revision), Body: g}, nil
}

func (c *Controller) get(ctx context.Context, in *OneGroup) (*Tagged, error) {
	return tagged(c.service.Get(ctx, web.Caller(ctx), in.GroupID))
}

func (c *Controller) update(ctx context.Context, in *updateInput) (*Tagged, error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	return tagged(c.service.Update(ctx, web.Caller(ctx), in.GroupID, revision, in.Body))
}

func (c *Controller) remove(ctx context.Context, in *deleteInput) (*Nothing, error) {
	revision, err := in.revision()
	if err != nil {
		return nil, err
	}
	return nothing(c.service.Delete(ctx, web.Caller(ctx), in.GroupID, revision))
}

// find lists public groups. For a back end that does not ask for public ones, it lists all
// groups.
func (c *Controller) find(ctx context.Context, in *findInput) (*Answer[web.Page[group.FoundGroup]], error) {
	orders := map[string]group.Order{"active": group.Active, "members": group.Largest}
	caller, filter := web.Caller(ctx), group.Filter{
		Query: in.Query, OwnerID: in.OwnerID, Attributes: in.attributes, Order: orders[in.Sort], Deleted: in.Deleted,
	}
	filtered := in.OwnerID != "" || in.Sort != "" || in.Deleted || len(in.attributes) > 0
	switch {
	case !filtered && (!caller.Admin || in.Visibility == "public"):
		return c.findPublic(ctx, in)
	case in.Visibility != "":
		return nil, fault.Validation(fault.Field{Field: "visibility", Message: "cannot be combined with ownerId, attr, sort and deleted"})
	}
	kind := fmt.Sprintf("groups %+v", filter)
	return list(c, kind, in.Paging, filter.Place, func(after string, limit int) ([]group.FoundGroup, error) {
		return c.service.Find(ctx, caller, filter, after, limit)
	})
}

func (c *Controller) findPublic(ctx context.Context, in *findInput) (*Answer[web.Page[group.FoundGroup]], error) {
	return list(c, "groups?q="+in.Query, in.Paging, group.Filter{}.Place,
		func(before string, limit int) ([]group.FoundGroup, error) {
			groups, err := c.service.ListPublic(ctx, web.Caller(ctx), in.Query, before, limit)
			found := make([]group.FoundGroup, len(groups))
			for i, g := range groups {
				found[i].Group = g
			}
			return found, err
		})
}

func (c *Controller) mine(ctx context.Context, in *mineInput) (*Answer[web.Page[group.Membership]], error) {
	caller := web.Caller(ctx)
	return list(c, "me/groups "+caller.UserID, in.Paging, func(m group.Membership) string { return m.ID },
		func(before string, limit int) ([]group.Membership, error) {
			return c.service.ListMine(ctx, caller, before, limit)
		})
}
