package app_test

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/config"
	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/toggle"
)

const (
	everyone  = "everyone"
	outsiders = "outsiders"
)

// The endpoints.
const (
	overHTTP  = "HTTP"
	overIO    = "Socket.IO"
	overPlain = "/ws"
)

// act is one call by one caller over one endpoint.
type act struct {
	*stage
	caller   string
	row      docRow
	want     string
	endpoint string
	others   bool // it affects a message of somebody else
}

// how describes how to make a call.
type how struct {
	// alone names the callers that need a group of their own, because a successful call changes
	// the group: everyone, or outsiders.
	alone string
	// target is the sort of thing that {userId} stands for. If uses is set, the call consumes it.
	target string
	uses   bool
	body   func(a act) object
	query  string
}

// newHook returns a request for a hook. Moim never calls its receiver, because it does not send
// to such addresses.
func newHook(a act) object {
	return object{"name": fmt.Sprint("hook-", a.hooks.Add(1)), "url": "https://127.0.0.1:1/", "events": []string{"group.deleted"}}
}

func just(body object) func(act) object { return func(act) object { return maps.Clone(body) } }

// calls describes the calls that need more than a path.
var calls = map[string]how{
	"PATCH /groups/{groupId}":                                {body: just(object{"description": "d"})},
	"PATCH /groups/{groupId} with `endsAt`":                  {alone: everyone, body: func(act) object { return object{"endsAt": time.Now().Add(time.Hour)} }},
	"DELETE /groups/{groupId}":                               {alone: everyone},
	"PUT /groups/{groupId}/owner":                            {alone: everyone, body: just(object{"userId": member})},
	"POST /groups/{groupId}/owner/accept if offered":         {alone: everyone},
	"POST /groups/{groupId}/join":                            {alone: outsiders},
	"POST /groups/{groupId}/leave":                           {alone: everyone},
	"POST /groups/{groupId}/leave with `userId`":             {alone: everyone, body: just(object{"userId": member})},
	"GET /groups/{groupId}/members/{userId}":                 {target: aMember},
	"POST /groups/{groupId}/members":                         {body: just(object{"userIds": []string{"m0"}})},
	"PATCH /groups/{groupId}/members/me":                     {body: just(object{"name": "N"})},
	"PATCH /groups/{groupId}/members/{userId}":               {target: aMember, body: just(object{"attributes": object{"a": 1}})},
	"PATCH /groups/{groupId}/members/{userId} of an admin":   {target: anAdmin, body: just(object{"attributes": object{"a": 1}})},
	"PATCH /groups/{groupId}/members/{userId} with `role`":   {target: aMember, uses: true, body: just(object{"role": "admin"})},
	"DELETE /groups/{groupId}/members/{userId}":              {target: aMember, uses: true},
	"DELETE /groups/{groupId}/members/{userId} of an admin":  {target: anAdmin, uses: true},
	"DELETE /groups/{groupId}/members/{userId} of the owner": {target: owner},
	"presence:set":                                        {body: just(object{"state": object{"a": 1}})},
	"POST /groups/{groupId}/messages":                     {body: just(object{"data": 1})},
	"PATCH /groups/{groupId}/messages/{version}":          {body: just(object{"data": 2})},
	"DELETE /groups/{groupId}/messages/{version}":         {uses: true},
	"POST /groups/{groupId}/signals":                      {body: just(object{"type": "wave"})},
	"PUT /groups/{groupId}/read":                          {body: just(object{"version": 1})},
	"PUT /groups/{groupId}/read with `userId`":            {body: just(object{"version": 1, "userId": "m0"})},
	"POST /groups/{groupId}/requests/{userId}/approve":    {target: anAsker, uses: true},
	"POST /groups/{groupId}/requests/{userId}/reject":     {target: anAsker, uses: true},
	"DELETE /groups/{groupId}/requests/me":                {alone: outsiders},
	"DELETE /groups/{groupId}/invites/{inviteId}":         {uses: true},
	"POST /invites/{code}/accept":                         {alone: outsiders},
	"POST /groups/{groupId}/invitations/accept":           {alone: outsiders},
	"POST /groups/{groupId}/invitations/decline":          {alone: outsiders},
	"PUT /groups/{groupId}/bans/{userId}":                 {target: aMember, uses: true},
	"PUT /groups/{groupId}/bans/{userId} of an admin":     {target: anAdmin, uses: true},
	"PUT /groups/{groupId}/bans/{userId} of the owner":    {target: owner},
	"DELETE /groups/{groupId}/bans/{userId}":              {target: aStranger},
	"PUT /groups/{groupId}/mutes/{userId}":                {target: aMember, uses: true},
	"PUT /groups/{groupId}/mutes/{userId} of an admin":    {target: anAdmin, uses: true},
	"DELETE /groups/{groupId}/mutes/{userId}":             {target: aMember},
	"DELETE /groups/{groupId}/mutes/{userId} of an admin": {target: anAdmin},
	"auth":                        {body: func(a act) object { return object{"token": a.people[a.caller].token} }},
	"POST /groups":                {body: just(object{"name": "g"})},
	"POST /groups with `ownerId`": {body: just(object{"name": "g", "ownerId": "somebody"})},
	"GET /groups with `ownerId`":  {query: "?ownerId=somebody"},
	"PATCH /users/{userId}":       {body: just(object{"name": "N"})},
	"POST /batch":                 {body: just(object{"calls": []object{{"method": "GET", "path": "/me/groups"}}})},
	"POST /hooks":                 {body: func(a act) object { return newHook(a) }},
	"PATCH /hooks/{name}":         {body: just(object{"events": []string{"*"}})},
}

// TestPermissions makes every call of docs/permissions.md in every kind of group, and compares
// the result for each caller with the tables.
func TestPermissions(t *testing.T) {
	t.Parallel()
	childtest.Bulk(t)
	cfg := config.Config{}
	cfg.Limit.Enabled = toggle.Off
	router := gin.New()
	start(t, cfg, router)
	server := serve(t, router)
	ofGroups, others := readTables(t)
	document := readDocument(t, server.URL)
	document.needRows(t, slices.Concat(ofGroups, others))

	h := &theatre{people: make(map[string]*person), document: document}
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
	t.Cleanup(client.CloseIdleConnections)
	for _, caller := range callers {
		h.people[caller] = newPerson(t, client, server.URL, caller, true)
	}
	for _, row := range others {
		for caller, want := range row.cells {
			for _, a := range (act{stage: &stage{theatre: h}, caller: caller, row: row, want: want}).onEndpoints() {
				a.perform(t)
			}
		}
	}
	var work sync.WaitGroup
	for _, k := range kinds() {
		work.Go(func() { h.play(t, ofGroups, k) })
	}
	work.Wait()
	t.Logf("%d calls", h.made.Load())
}

// play makes all calls in groups of one kind.
func (h *theatre) play(t *testing.T, rows []docRow, k kind) {
	t.Helper()
	shared := h.set(t, k, true)
	var acts []act
	done := make(map[string]bool)
	for _, r := range rows {
		key := r.key()
		row := rowFor(rows, key, k)
		if done[key] || row == nil {
			if row == nil && !slices.Contains(r.when, "not ended") {
				t.Errorf("%s: no row holds in a %s", key, k)
			}
			continue
		}
		done[key] = true
		for _, caller := range callers {
			acts = append(acts, act{stage: shared, caller: caller, row: *row, want: row.want(k, caller)}.onEndpoints()...)
		}
	}
	for i := range acts {
		acts[i].separate(t)
	}
	for _, a := range acts {
		a.await(t)
	}
	for _, a := range acts {
		a.perform(t)
	}
}

// onEndpoints returns the act for each endpoint, and for own and other messages.
func (a act) onEndpoints() (acts []act) {
	var endpoints []string
	if a.row.call != "" {
		endpoints = append(endpoints, overHTTP)
	}
	if a.row.event != "" {
		endpoints = append(endpoints, overIO, overPlain)
	}
	for _, a.endpoint = range endpoints {
		if a.want == "own" {
			a := a
			a.want, a.others = "forbidden", true
			acts = append(acts, a)
			a.want, a.others = "yes", false
			acts = append(acts, a)
			continue
		}
		acts = append(acts, a)
	}
	return acts
}

func (a act) isMember() bool {
	return slices.Contains([]string{member, silenced, admin, owner}, a.caller)
}

func (a act) succeeds() bool { return a.want == "yes" || a.want == "requested" || a.want == "offered" }

// separate gives the act its own group if the act changes what other callers may do.
func (a *act) separate(t *testing.T) {
	t.Helper()
	alone := calls[a.row.key()].alone
	if !a.succeeds() || alone == "" || alone == outsiders && a.isMember() {
		return
	}
	a.stage = a.set(t, a.kind, false, a.caller, member)
	if a.row.what == "if offered" && a.caller != owner {
		a.as(t, owner, http.MethodPut, "/groups/{groupId}/owner", object{"userId": a.caller})
	}
}

// perform makes the call and compares the result with the tables.
func (a act) perform(t *testing.T) {
	t.Helper()
	a.made.Add(1)
	way := calls[a.row.key()]
	body := object{}
	if way.body != nil {
		body = way.body(a)
	}
	p := a.people[a.caller]
	path := a.path(t, way)
	var got answered
	switch a.endpoint {
	case overHTTP:
		method, route, _ := strings.Cut(a.row.call, " ")
		var sent any = body
		if len(body) == 0 {
			sent = nil
		}
		got = p.call(t, method, path, sent)
		if !a.document.describes(method, route, got) {
			t.Errorf("%s: the API document does not know the answer %d %s", a.row.call, got.status, got.result)
		}
	default:
		if a.id != "" {
			body["groupId"] = a.id
		}
		if version, ok := strings.CutPrefix(path, "/groups/"+a.id+"/messages/"); ok {
			body["version"] = json.RawMessage(version)
		}
		w := p.sio
		if a.endpoint == overPlain {
			w = p.plain
		}
		if a.row.event == "presence:set" {
			w.ask(t, "group:subscribe", object{"groupId": a.id})
		}
		got.result = w.ask(t, a.row.event, body)
	}
	if got.result != a.want {
		t.Errorf("%s over %s by %s of a %s: %s, but docs/permissions.md says %s", a.row.key(), a.endpoint, a.caller, a.kind, got.result, a.want)
	}
}

// path returns the path of the call with its parameters filled in.
func (a act) path(t *testing.T, way how) string {
	t.Helper()
	_, path, _ := strings.Cut(a.row.call, " ")
	kept := !way.uses || !a.succeeds()
	fill := func(parameter string, thing func() string) {
		if strings.Contains(path, parameter) {
			path = strings.ReplaceAll(path, parameter, thing())
		}
	}
	fill("{groupId}", func() string { return a.id })
	fill("{userId}", func() string {
		if way.target == "" || way.target == owner {
			return cmp.Or(way.target, "somebody")
		}
		return a.next(t, way.target, kept)
	})
	fill("{jobId}", func() string {
		var job struct{ JobID string }
		if err := json.Unmarshal(a.as(t, backend, http.MethodDelete, "/users/somebody", nil), &job); err != nil {
			t.Fatal(err)
		}
		return job.JobID
	})
	fill("{name}", func() string {
		hook := newHook(a)
		a.as(t, backend, http.MethodPost, "/hooks", hook)
		return fmt.Sprint(hook["name"])
	})
	fill("{inviteId}", func() string { return a.next(t, anInvite, kept) })
	fill("{code}", func() string { return a.next(t, aCode, true) })
	fill("{version}", func() string {
		author := a.caller
		if a.others || a.spare[messagesOf+author] == nil {
			author = owner
		}
		return a.next(t, messagesOf+author, kept)
	})
	return path + way.query
}
