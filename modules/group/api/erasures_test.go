package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/moim-live/moim/modules/audit"
	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/api"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/group/transfer"
)

func TestHTTPEraseUser(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	first := d.do(t, backend, "DELETE", "/users/alice", "")
	again := d.do(t, backend, "DELETE", "/users/alice", "")
	job := servicetest.Decode[api.Job](t, first.body)
	if first.status != 202 || again.status != 202 || first.body != again.body || job.JobID == "" {
		t.Errorf("answered %+v and %+v", first, again)
	}
	e, err := d.Store.Erasure(t.Context(), job.JobID)
	if err != nil {
		t.Fatal(err)
	}
	since := "alice " + e.StartedAt.UTC().Format(time.RFC3339Nano)
	if diff := cmp.Diff([]string{since, since}, d.revoked); diff != "" {
		t.Errorf("a token that is signed after the job began is valid (-want +got):\n%s", diff)
	}
	e.Stage = group.EraseCheck // after the first stage, a repeat revokes no tokens
	if err := d.Store.AdvanceErasure(t.Context(), e, 0); err != nil {
		t.Fatal(err)
	}
	if r := d.do(t, backend, "DELETE", "/users/alice", ""); r.body != first.body || len(d.revoked) != 2 {
		t.Errorf("a repeat before the end: %+v, revoked %v", r, d.revoked)
	}
	got := servicetest.Decode[map[string]any](t, d.do(t, backend, "GET", "/erasures/"+job.JobID, "").body)
	for field, want := range map[string]any{
		"jobId": job.JobID, "status": "running", "groupsLeft": 0.0, "groupsHandedOver": 0.0, "groupsEnded": 0.0, "messagesBlanked": 0.0, "eventsBlanked": 0.0,
	} {
		if got[field] != want {
			t.Errorf("%s is %v, want %v", field, got[field], want)
		}
	}
	if _, err := d.Store.EraseOf(t.Context(), "alice", e.Pseudonym()); err != nil {
		t.Fatal(err)
	}
	if done, err := d.Store.FinishErasure(t.Context(), e); !done || err != nil {
		t.Fatal(done, err)
	}
	body := d.do(t, backend, "GET", "/erasures/"+job.JobID, "").body
	if !strings.Contains(body, `"status":"done"`) || !strings.Contains(body, `"finishedAt":`) || strings.Contains(body, "alice") {
		t.Errorf("the finished job: %s", body)
	}
	if p := d.do(t, backend, "GET", "/erasures/unknown", "").problem(t); p != "404 not_found" {
		t.Errorf("an unknown job: %s", p)
	}
}

// TestHTTPEraseUserWhenRevokingFails checks that a job is stored and recorded even if the
// user's tokens could not be revoked. The job itself or a repeat of the call revokes them
// later.
func TestHTTPEraseUserWhenRevokingFails(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	d.revokeFails = fault.ErrUnavailable
	if p := d.do(t, backend, "DELETE", "/users/alice", "").problem(t); p != "503 unavailable" {
		t.Errorf("answered %s", p)
	}
	recorded, err := d.Store.Entries(t.Context(), audit.Filter{Target: "alice"}, "", 10)
	if err != nil || len(recorded) != 1 || recorded[0].Action != "erase-user" {
		t.Fatalf("recorded %+v, %v", recorded, err)
	}
	d.revokeFails = nil
	job := servicetest.Decode[api.Job](t, d.do(t, backend, "DELETE", "/users/alice", "").body)
	if !strings.Contains(string(recorded[0].After), job.JobID) || len(d.revoked) != 1 {
		t.Errorf("the repeat is job %s and revoked %v", job.JobID, d.revoked)
	}
}

func TestHTTPErasingIsForBackEnds(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	reader := auth.Identity{UserID: "backend", Admin: true, Calls: auth.ReadGroups}
	writer := auth.Identity{UserID: "backend", Admin: true, Calls: auth.WriteUsers}
	for _, call := range []string{"DELETE /users/alice", "GET /users/alice/export", "GET /erasures/job"} {
		method, path, _ := strings.Cut(call, " ")
		refused := reader
		if strings.HasSuffix(path, "export") {
			refused = writer
		}
		for _, who := range []auth.Identity{alice, refused} {
			if p := d.do(t, who, method, path, "").problem(t); p != "403 forbidden" {
				t.Errorf("%s as %+v: %s", call, who, p)
			}
		}
	}
	for _, call := range []string{"DELETE /users/%01", "GET /users/%01/export"} {
		method, path, _ := strings.Cut(call, " ")
		if p := d.do(t, backend, method, path, "").problem(t); p != "422 validation_failed userId" {
			t.Errorf("%s: %s", call, p)
		}
	}
	if p := d.do(t, backend, "DELETE", "/users/backend", "").problem(t); p != "422 validation_failed userId" {
		t.Errorf("a back end erases itself: %s", p)
	}
	if len(d.revoked) > 0 {
		t.Errorf("revoked %v", d.revoked)
	}
}

// TestHTTPExportUser checks that an export is valid JSON with all messages and groups of
// the user. An export of an unknown user is valid, too.
func TestHTTPExportUser(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	export := func(userID string) api.Export {
		t.Helper()
		r := d.do(t, backend, "GET", "/users/"+userID+"/export", "")
		if disposition := r.header.Get("Content-Disposition"); r.status != 200 || r.header.Get("Content-Type") != "application/json" ||
			!strings.HasPrefix(disposition, `attachment; filename="user-2`) {
			t.Errorf("answered %d, %v", r.status, r.header)
		}
		if strings.Contains(r.body, "null") {
			t.Errorf("the export has nulls: %s", r.body)
		}
		return servicetest.Decode[api.Export](t, r.body)
	}
	if e := export("nobody"); e.UserID != "nobody" || e.Groups == nil || len(e.Groups) > 0 || e.Messages == nil || len(e.Messages) > 0 {
		t.Errorf("the export of an unknown user: %+v", e)
	}
	const groups, messages = 120, 3 // more groups than fit on a page
	for i := range groups {
		g := d.NewGroup(t, fmt.Sprintf(`{"name":"g%d"}`, i))
		for n := range messages {
			if r := d.do(t, user("member"), "POST", "/groups/"+g.ID+"/messages", fmt.Sprintf(`{"type":"text","data":"%d"}`, n)); r.status != 201 {
				t.Fatal(r)
			}
			d.do(t, alice, "POST", "/groups/"+g.ID+"/messages", `{"data":"alice's"}`)
		}
	}
	banned, asks := d.NewGroup(t, `{"name":"banned"}`), d.NewGroup(t, `{"name":"asks","visibility":"public","joinPolicy":"request"}`)
	for _, call := range []string{
		"PUT /groups/" + banned.ID + `/mutes/member {}`,
		"PUT /groups/" + banned.ID + `/bans/member {"reason":"spam"}`,
		"DELETE /groups/" + asks.ID + "/members/member ",
		"POST /groups/" + asks.ID + `/members {"userIds":["invited"]}`,
	} {
		parts := strings.SplitN(call, " ", 3)
		if r := d.do(t, alice, parts[0], parts[1], parts[2]); r.status >= 300 {
			t.Fatalf("%s: %+v", call, r)
		}
	}
	d.do(t, user("member"), "POST", "/groups/"+asks.ID+"/join", "")
	e := export("member")
	if len(e.Groups) != groups+2 || len(e.Messages) != groups*messages {
		t.Fatalf("%d groups and %d messages", len(e.Groups), len(e.Messages))
	}
	of := make(map[string]transfer.Trace)
	for _, g := range e.Groups {
		of[g.GroupName] = g
	}
	if m := of["g7"].Member; m == nil || m.Role != group.MemberRole || m.JoinedAt.IsZero() || of["g7"].Ban != nil {
		t.Errorf("a group: %+v", of["g7"])
	}
	if b := of["banned"]; b.Member != nil || b.Ban == nil || b.Ban.Reason != "spam" || b.Mute == nil {
		t.Errorf("the group that banned them: %+v", b)
	}
	if a := of["asks"]; a.Request == nil || a.Member != nil {
		t.Errorf("the group that they requested to join: %+v", a)
	}
	if i := export("invited").Groups; len(i) != 1 || i[0].Invitation == nil || i[0].Invitation.InvitedBy != "alice" {
		t.Errorf("the export of an invited user: %+v", i)
	}
	for i, m := range e.Messages {
		if want := json.RawMessage(fmt.Sprintf(`"%d"`, i%messages)); m.Type != "text" || string(m.Data) != string(want) || m.At.IsZero() {
			t.Fatalf("message %d is %+v", i, m)
		}
	}
}
