package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/group/dto"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/socket/adapter"
	"github.com/moim-live/moim/modules/web"
)

// deepPatch returns a patch of attributes with a string below the given number of levels.
func deepPatch(levels, leaf int) string {
	return `{"attributes":` + strings.Repeat(`{"a":`, levels) + `"` + strings.Repeat("x", leaf) + `"` + strings.Repeat("}", levels) + `}`
}

// manyFields returns a request to create a group, with n unknown fields.
func manyFields(n int) string {
	var out strings.Builder
	out.WriteString(`{"name":"x"`)
	for i := range n {
		fmt.Fprintf(&out, `,"f%d":0`, i)
	}
	return out.String() + "}"
}

// small is the maximum size of an answer to a hostile request, in bytes.
const small = 16 << 10

// TestHostileBodies sends bodies that once kept a node busy for minutes, while another user
// posts. The posts must not be delayed.
func TestHostileBodies(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	g := d.NewGroup(t, `{"name":"g"}`)
	path, members := "/groups/"+g.ID, "/groups/"+g.ID+"/members/"
	written := make(chan error, 20)
	go func() {
		for range cap(written) {
			_, err := d.Post(t.Context(), user("member"), g.ID, dto.MessageRequest{Data: json.RawMessage("1")})
			written <- err
		}
	}()
	for _, c := range []struct {
		method, path, body string
		want               string // code and first field of the problem
		errors             int
	}{
		{"PATCH", path, deepPatch(1_000, 900_000), "422 validation_failed body", 1},
		{"PATCH", path, deepPatch(9_900, 900_000), "422 validation_failed body", 1},
		{"PATCH", path, deepPatch(65, 10), "422 validation_failed attributes", 1},
		{"PATCH", path, deepPatch(64, 900_000), "422 validation_failed attributes", 1},
		{"PATCH", path, deepPatch(64, 60_000), "422 validation_failed attributes", 1},
		{"PATCH", members + "member", deepPatch(1_000, 900_000), "422 validation_failed body", 1},
		{"PATCH", members + "member", deepPatch(64, 900_000), "422 validation_failed attributes", 1},
		{"POST", "/groups", manyFields(95_000), "422 validation_failed body", 1},
		{"POST", "/groups", manyFields(9_900), "422 validation_failed f0", 50},
		{"POST", "/groups", `{"` + strings.Repeat("n", 1_000_000) + `":0}`, "422 validation_failed " + strings.Repeat("n", 253) + "…", 2},
		{"POST", path + "/members", `{"userIds":[` + strings.Repeat(`"",`, 300_000) + `""]}`, "422 validation_failed userIds", 1},
		{"POST", path + "/members", `{"userIds":[` + strings.Repeat(`"",`, 499) + `""]}`, "422 validation_failed userIds[0]", 50},
		{"POST", path + "/signals", `{"type":"x","to":[` + strings.Repeat(`"",`, 300_000) + `""]}`, "422 validation_failed to", 1},
		{"POST", path + "/messages", `{"data":[` + strings.Repeat(`0,`, 500_000) + `0]}`, "422 validation_failed data", 1},
		{"PUT", path + "/read", `{"version":` + strings.Repeat("9", 1_000_000) + `}`, "422 validation_failed version", 1},
		{"POST", "/groups", "{\"name\":\"" + strings.Repeat("\xff", 1_000_000) + "\"}", "422 validation_failed body", 2},
		{"GET", "/groups?q=" + strings.Repeat("%EF%B7%BA", 3_000), "", "422 validation_failed q", 1},
		{"GET", "/groups?cursor=" + strings.Repeat("A", 30_000), "", "422 validation_failed cursor", 1},
	} {
		got := d.do(t, alice, c.method, c.path, c.body)
		problem, listed := got.problem(t), len(servicetest.Decode[web.Problem](t, got.body).Errors)
		if problem != c.want && !strings.HasPrefix(problem, c.want+" ") || listed != c.errors || len(got.body) > small {
			t.Errorf("%s %.60s %.40s: %.100s, %d mistakes in %d bytes; want %.60s, %d", c.method, c.path, c.body, problem, listed, len(got.body), c.want, c.errors)
		}
	}
	for range cap(written) {
		servicetest.WantCode(t, "a message meanwhile", <-written, "ok")
	}
}

// TestHostileEvents sends such bodies over a socket, as large as its frames allow.
func TestHostileEvents(t *testing.T) {
	t.Parallel()
	n := newNode(t, servicetest.OpenStore(t), adapter.NewMesh())
	g, err := n.Create(t.Context(), alice, servicetest.Decode[dto.CreateRequest](t, `{"name":"g"}`))
	if err != nil {
		t.Fatal(err)
	}
	c := n.dial(t, "alice")
	in := func(body string) string { return `{"groupId":"` + g.ID + `",` + body[1:] }
	for i, call := range []struct {
		event, data, want string
		errors            int
	}{
		{"group:update", in(deepPatch(1_000, 50_000)), "body", 1},
		{"group:update", in(deepPatch(65, 50_000)), "attributes", 1},
		{"group:update", in(deepPatch(64, 60_000)), "attributes", 1},
		{"group:create", manyFields(5_000), "f0", 50},
		{"group:create", `{"name":"x"` + strings.Repeat(`,"":0`, 10_500) + `}`, "body", 1},
		{"group:join", in(manyFields(5_000)), "f0", 50},
		{"group:signal", in(`{"type":"x","to":[` + strings.Repeat(`"",`, 20_000) + `""]}`), "to", 1},
		{"presence:set", in(`{"state":{"a":"` + strings.Repeat("x", 60_000) + `"}}`), "state", 1},
		{"group:subscribe", in(`{"since":` + strings.Repeat("9", 60_000) + `}`), "since", 1},
	} {
		got, size := c.refused(call.event, call.data)
		if got.Code != "validation_failed" || len(got.Fields) != call.errors || got.Fields[0].Field != call.want || size > small {
			t.Errorf("%d: %s %.60s: %s, %d mistakes in %d bytes, the first %+v", i, call.event, call.data, got.Code, len(got.Fields), size, got.Fields[:1])
		}
	}
	if got := c.call("group:message", in(`{"data":1}`)); strings.HasPrefix(got, "error") {
		t.Errorf("the socket no longer works: %s", got)
	}
}
