package api

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/transfer"
	"github.com/moim-live/moim/modules/web"
)

// Controller serves groups over HTTP. It reads requests, calls the [group.Service] and
// renders the results.
type Controller struct {
	service *group.Service
	users   Users
	nodes   Nodes
	tokens  group.TokenRevoker
	traces  transfer.Traces
	api     *web.API
}

// NewController returns a controller. Call [Controller.Register] to serve it.
func NewController(service *group.Service, users Users, nodes Nodes, tokens group.TokenRevoker, traces transfer.Traces) *Controller {
	return &Controller{service: service, users: users, nodes: nodes, tokens: tokens, traces: traces}
}

// Register adds the operations to api.
func (c *Controller) Register(api *web.API) {
	c.api = api
	c.registerGroups()
	c.registerMembers()
	c.registerOwner()
	c.registerRequests()
	c.registerInvites()
	c.registerInvitations()
	c.registerBans()
	c.registerMutes()
	c.registerStream()
	c.registerMessages()
	c.registerUsers()
	c.registerAudit()
	c.registerNodes()
	c.registerErasures()
	c.registerExport()
	c.registerBatch()
}

// OneGroup is the group in a path.
type OneGroup struct {
	GroupID string `path:"groupId" doc:"group id" example:"0197c7a2-5f0e-7c31-9d5b-3a1f6c2f7a10"`
}

// Condition makes a change conditional on the revision that the client has read.
type Condition struct {
	IfMatch string `header:"If-Match" doc:"ETag of the revision that you read; if the group has another revision, the answer is 412 version_conflict"`
}

// revision returns the revision in the request, or nil if there is none.
func (c Condition) revision() (*int64, error) {
	revision, whichever, err := web.ParseIfMatch(c.IfMatch)
	if err != nil || whichever {
		return nil, err
	}
	return &revision, nil
}

// Once is an idempotency key: with it, a repeated call returns the first answer.
type Once struct {
	Key string `header:"Idempotency-Key" doc:"at most 255 bytes; for 24 hours, a request with the same key returns the first answer"`
}

// Resolve implements huma.Resolver.
func (o *Once) Resolve(huma.Context) []error {
	if o.Key == "" || dto.CheckKey(o.Key) == "" {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: "header.Idempotency-Key", Message: dto.CheckKey(o.Key)}}
}

// once returns a context with the key, for the service.
func (o *Once) once(ctx context.Context) context.Context {
	return group.WithKey(ctx, o.Key)
}

// Sent is a request's body. The service validates it, as it does for sockets; huma's own
// validation is off.
type Sent[T any] struct {
	Body T
}

// Tagged is a Group with its entity tag.
type Tagged struct {
	ETag string `header:"ETag" doc:"revision of the group, in quotes"`
	Body group.Group
}

func tagged(g group.Group, err error) (*Tagged, error) {
	if err != nil {
		return nil, err
	}
	return &Tagged{ETag: web.ETag(g.Revision), Body: g}, nil
}

// Answer is an answer with any other body.
type Answer[T any] struct {
	Body T
}

func answer[T any](body T, err error) (*Answer[T], error) {
	if err != nil {
		return nil, err
	}
	return &Answer[T]{Body: body}, nil
}

// Nothing is an answer without a body.
type Nothing struct{}

func nothing(err error) (*Nothing, error) {
	if err != nil {
		return nil, err
	}
	return &Nothing{}, nil
}

// operation describes an operation. problems lists the possible errors besides those of
// every call, each as a status and codes: "409 group_full". The service validates requests.
func operation(method, path, id, summary string, status int, problems ...string) huma.Operation {
	if method == http.MethodPost {
		problems = append(problems, "422 idempotency_mismatch")
	}
	return web.Operation("groups", method, path, id, summary, status, problems...)
}

// list answers one page of a list. kind names the list, so that a cursor of another list is
// refused. read returns at most limit items after the one with key from, or fewer according
// to [group.ListBytes].
func list[T any](c *Controller, kind string, in web.Paging, key func(T) string, read func(from string, limit int) ([]T, error)) (*Answer[web.Page[T]], error) {
	from, err := c.api.ParseCursor(kind, in.Cursor)
	if err != nil {
		return nil, err
	}
	items, err := read(from, in.Limit+1)
	if err != nil {
		return nil, err
	}
	return answer(page(c.api, kind, items, in.Limit, key), nil)
}

// page cuts limit+1 items to limit items and [group.ListBytes].
func page[T any](api *web.API, kind string, items []T, limit int, key func(T) string) web.Page[T] {
	p := web.Page[T]{Items: items}
	if p.Items == nil {
		p.Items = []T{}
	}
	if fit := group.Fit(items, limit); fit < len(items) {
		p.Items = items[:fit]
		p.NextCursor = api.Cursor(kind, key(items[fit-1]))
	}
	return p
}

// Problems of most operations.
const (
	hidden    = "404 not_found"
	outside   = "403 not_member"
	notEnough = "403 forbidden, not_member"
	silenced  = "403 forbidden, muted, not_member"
)

// register adds an operation of c.
func register[I, O any](c *Controller, op huma.Operation, fn func(ctx context.Context, in *I) (*O, error)) {
	web.Register(c.api, op, fn)
}
