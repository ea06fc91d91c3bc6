package client

import (
	"context"
	"encoding/json"
	"iter"
	"net/http"
	"net/url"
	"time"
)

// Group is a durable record with members.
type Group struct {
	ID           string          `json:"id"`
	Name         string          `json:"name"`
	Description  string          `json:"description"`
	Visibility   string          `json:"visibility"` // private or public
	JoinPolicy   string          `json:"joinPolicy"` // open, request or invite
	Posting      string          `json:"posting"`    // members or admins
	ReadReceipts bool            `json:"readReceipts"`
	Capacity     *int            `json:"capacity"`   // nil if only the server's limit applies
	Attributes   json.RawMessage `json:"attributes"` // an object
	MemberCount  int             `json:"memberCount"`
	OwnerID      string          `json:"ownerId"`
	Version      int64           `json:"version"`  // version of the last event
	Revision     int64           `json:"revision"` // for [IfRevision]
	CreatedAt    time.Time       `json:"createdAt"`
	UpdatedAt    time.Time       `json:"updatedAt"`
	EndsAt       *time.Time      `json:"endsAt,omitempty"`
	EndedAt      *time.Time      `json:"endedAt,omitempty"`
	RemindBefore []int           `json:"remindBefore,omitempty"` // seconds before EndsAt
}

// NewGroup describes a group to create. Only the name is required.
type NewGroup struct {
	Name         string     `json:"name"`
	OwnerID      string     `json:"ownerId,omitempty"` // only for back ends; empty for the caller
	OwnerName    string     `json:"ownerName,omitempty"`
	Description  string     `json:"description,omitempty"`
	Visibility   string     `json:"visibility,omitempty"` // private (default) or public
	JoinPolicy   string     `json:"joinPolicy,omitempty"` // open, request or invite (default)
	Posting      string     `json:"posting,omitempty"`    // members (default) or admins
	ReadReceipts bool       `json:"readReceipts,omitempty"`
	Capacity     *int       `json:"capacity,omitempty"`
	Attributes   any        `json:"attributes,omitempty"` // a value that encoding/json encodes as an object
	EndsAt       *time.Time `json:"endsAt,omitempty"`
	RemindBefore []int      `json:"remindBefore,omitempty"`
}

// GroupChange changes a group. nil fields stay unchanged. Remove names fields to remove:
// capacity, endsAt, description, attributes.
type GroupChange struct {
	Name         *string    `json:"name,omitempty"`
	Description  *string    `json:"description,omitempty"`
	Visibility   *string    `json:"visibility,omitempty"`
	JoinPolicy   *string    `json:"joinPolicy,omitempty"`
	Posting      *string    `json:"posting,omitempty"`
	ReadReceipts *bool      `json:"readReceipts,omitempty"`
	Capacity     *int       `json:"capacity,omitempty"`
	Attributes   any        `json:"attributes,omitempty"` // a merge patch (RFC 7396)
	EndsAt       *time.Time `json:"endsAt,omitempty"`
	RemindBefore []int      `json:"remindBefore,omitempty"`

	Remove []string `json:"-"`
}

// MarshalJSON implements [json.Marshaler].
func (g GroupChange) MarshalJSON() ([]byte, error) {
	type plain GroupChange
	data, err := json.Marshal(plain(g))
	if err != nil || len(g.Remove) == 0 {
		return data, err
	}
	fields := map[string]any{}
	if err := json.Unmarshal(data, &fields); err != nil {
		return nil, err
	}
	for _, name := range g.Remove {
		fields[name] = nil
	}
	return json.Marshal(fields)
}

// FoundGroup is a group in a list of all groups. Only back ends get the times.
type FoundGroup struct {
	Group

	ActiveAt  time.Time  `json:"activeAt"`
	DeletedAt *time.Time `json:"deletedAt,omitempty"`
}

// Filter selects and orders groups. The zero value selects all groups, newest first.
type Filter struct {
	Query      string            // part of the name; not with the filters below
	OwnerID    string            // only groups of this owner
	Attributes map[string]string // only groups with these values
	Visibility string            // public: only public groups, as for users
	Sort       string            // newest (default), members or active
	Deleted    bool              // only deleted groups
}

// CreateGroup creates a group.
func (c *Client) CreateGroup(ctx context.Context, g NewGroup, opts ...CallOption) (Group, error) {
	return call[Group](ctx, c, newRequest(http.MethodPost, "/groups"), g, opts)
}

// Group returns a group.
func (c *Client) Group(ctx context.Context, groupID string) (Group, error) {
	return call[Group](ctx, c, newRequest(http.MethodGet, "/groups/%s", groupID), nil, nil)
}

// Groups lists groups.
func (c *Client) Groups(ctx context.Context, f Filter) iter.Seq2[FoundGroup, error] {
	query := url.Values{}
	for name, value := range map[string]string{"q": f.Query, "ownerId": f.OwnerID, "visibility": f.Visibility, "sort": f.Sort} {
		if value != "" {
			query.Set(name, value)
		}
	}
	for key, value := range f.Attributes {
		query.Set("attr."+key, value)
	}
	if f.Deleted {
		query.Set("deleted", "true")
	}
	return list[FoundGroup](ctx, c, query, "/groups")
}

// UpdateGroup changes a group. See [IfRevision].
func (c *Client) UpdateGroup(ctx context.Context, groupID string, change GroupChange, opts ...CallOption) (Group, error) {
	return call[Group](ctx, c, newRequest(http.MethodPatch, "/groups/%s", groupID), change, opts)
}

// DeleteGroup deletes a group. See [IfRevision].
func (c *Client) DeleteGroup(ctx context.Context, groupID string, opts ...CallOption) error {
	return tell(ctx, c, newRequest(http.MethodDelete, "/groups/%s", groupID), nil, opts)
}

// Transfer makes a member the owner if the caller is a back end. Otherwise it offers the
// group to the member, and offered is true.
func (c *Client) Transfer(ctx context.Context, groupID, userID string, opts ...CallOption) (g Group, offered bool, err error) {
	answer, err := call[struct {
		Group

		Status string `json:"status"`
	}](ctx, c, newRequest(http.MethodPut, "/groups/%s/owner", groupID), map[string]string{"userId": userID}, opts)
	return answer.Group, answer.Status == "offered", err
}

// AcceptOwnership makes the caller the owner of a group that was offered to them.
func (c *Client) AcceptOwnership(ctx context.Context, groupID string, opts ...CallOption) (Group, error) {
	return call[Group](ctx, c, newRequest(http.MethodPost, "/groups/%s/owner/accept", groupID), nil, opts)
}

// DeclineOwnership declines the offer of a group.
func (c *Client) DeclineOwnership(ctx context.Context, groupID string, opts ...CallOption) error {
	return tell(ctx, c, newRequest(http.MethodPost, "/groups/%s/owner/decline", groupID), nil, opts)
}

// Presence says whether a member is connected.
type Presence struct {
	UserID     string          `json:"userId"`
	Status     string          `json:"status"` // online or reconnecting
	State      json.RawMessage `json:"state,omitempty"`
	LastSeenAt *time.Time      `json:"lastSeenAt,omitempty"`
}

// Presences lists who is present in a group.
func (c *Client) Presences(ctx context.Context, groupID string) iter.Seq2[Presence, error] {
	return list[Presence](ctx, c, nil, "/groups/%s/presence", groupID)
}
