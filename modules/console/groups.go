package console

import (
	"context"
	"strings"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
)

// groupsPage is the data of the view Groups.
type groupsPage struct {
	formPage
	Query, Owner string
	Attributes   []string // filters by attributes, and an empty one
	Deleted      bool
	Sorts        []option
	Refused      *problem // why the filter was refused
	Groups       table[group.FoundGroup]
}

// orders are the values of the parameter sort.
var orders = map[string]group.Order{"newest": group.Newest, "members": group.Largest, "activity": group.Active}

// groups finds groups by name or id, owner and attributes.
func (c *Console) groups(ctx context.Context, v visit) (any, error) {
	page := groupsPage{
		formPage: v.forms(), Query: v.query("q"), Owner: v.query("owner"), Deleted: v.query("deleted") != "",
	}
	for _, condition := range v.g.QueryArray("attribute") {
		if condition = strings.TrimSpace(condition); condition != "" {
			page.Attributes = append(page.Attributes, condition)
		}
	}
	if len(page.Attributes) < group.MaxAttributeFilters {
		page.Attributes = append(page.Attributes, "")
	}
	for _, name := range []string{"newest", "members", "activity"} {
		page.Sorts = append(page.Sorts, option{Value: name, Selected: name == v.query("sort")})
	}
	found, err := c.find(ctx, v, page)
	if refused := fault.From(err); err != nil && refused.Kind == fault.Invalid {
		p := c.problem(v.g, err)
		page.Refused, err = &p, nil
	}
	page.Groups = found
	return page, err
}

func (c *Console) find(ctx context.Context, v visit, page groupsPage) (table[group.FoundGroup], error) {
	if dto.ValidGroupID(page.Query) {
		g, err := c.deps.Groups.Get(ctx, v.caller, page.Query)
		if err != nil && fault.From(err).Kind == fault.NotFound {
			return table[group.FoundGroup]{}, nil
		}
		return table[group.FoundGroup]{Rows: []group.FoundGroup{{Group: g}}}, err
	}
	filter := group.Filter{Query: page.Query, OwnerID: page.Owner, Order: orders[v.query("sort")], Deleted: page.Deleted}
	for _, condition := range page.Attributes {
		if condition == "" {
			continue
		}
		key, value, ok := strings.Cut(condition, "=")
		if !ok {
			return table[group.FoundGroup]{}, mistake("attribute", "must be a name and a value, as level=3")
		}
		if other, twice := filter.Attributes[key]; twice && other != value {
			return table[group.FoundGroup]{}, nil // no group has both
		}
		if filter.Attributes == nil {
			filter.Attributes = make(map[string]string)
		}
		filter.Attributes[key] = value
	}
	return list(v, filter.Place, func(after string, limit int) ([]group.FoundGroup, error) {
		return c.deps.Groups.Find(ctx, v.caller, filter, after, limit)
	})
}

// createGroup creates a group for an owner.
func (c *Console) createGroup(ctx context.Context, v visit) (outcome, error) {
	req := dto.CreateRequest{
		Name: v.sent("name"), OwnerID: v.sent("ownerId"), OwnerName: v.sent("ownerName"),
		Visibility: v.sent("visibility"), JoinPolicy: v.sent("joinPolicy"),
	}
	if req.OwnerID == "" {
		return outcome{}, mistake("ownerId", "must be the user who is to own the group")
	}
	g, err := c.deps.Groups.Create(ctx, v.caller, req)
	return outcome{to: "groups/" + g.ID, notice: "created"}, err
}
