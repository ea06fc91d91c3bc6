package api_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
	"github.com/moim-live/moim/modules/group/api"
	"github.com/moim-live/moim/modules/group/internal/servicetest"
	"github.com/moim-live/moim/modules/web"
)

// batch sends calls. It returns the status and code of each answer, such as "404
// not_found".
func (d *endpoint) batch(t *testing.T, calls string, headers ...string) (results []string, answers []web.Reply) {
	t.Helper()
	got := d.do(t, backend, "POST", "/batch", `{"calls":[`+calls+`]}`, headers...)
	if got.status != 200 {
		t.Fatalf("%d %s", got.status, got.body)
	}
	answers = servicetest.Decode[api.BatchAnswers](t, got.body).Answers
	for _, a := range answers {
		result := fmt.Sprint(a.Status)
		if a.Status >= 300 {
			result += " " + servicetest.Decode[web.Problem](t, string(a.Body)).Code
		}
		results = append(results, result)
	}
	return results, answers
}

func TestHTTPBatch(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	made := d.do(t, backend, "POST", "/groups", `{"name":"g","ownerId":"alice"}`)
	path := "/groups/" + servicetest.Decode[group.Group](t, made.body).ID

	results, answers := d.batch(t, `
		{"method":"POST","path":"`+path+`/members","body":{"userIds":["bob","a/b"]}},
		{"method":"GET","path":"/v1`+path+`/members?limit=1"},
		{"method":"PATCH","path":"`+path+`/members/a%2Fb","body":{"role":"admin"}},
		{"method":"DELETE","path":"`+path+`/members/bob"},
		{"method":"PATCH","path":"`+path+`","body":{"name":7}},
		{"method":"GET","path":"/groups/0198c9d2-8f7e-7cc1-a6b4-1f2e3d4c5b6a"},
		{"method":"GET","path":"/no/such/route"},
		{"method":"PUT","path":"`+path+`"},
		{"method":"GET","path":"//example.org/v1/me/groups"},
		{"method":"GET","path":"/%zz"},
		{"method":"POST","path":"/batch","body":{"calls":[{"method":"GET","path":"/me/groups"}]}}`)
	const want = "200 200 200 204 422 validation_failed 404 not_found 404 not_found 405 method_not_allowed 404 not_found 400 bad_request 400 bad_request"
	if got := strings.Join(results, " "); got != want {
		t.Errorf("answers\n%s, want\n%s", got, want)
	}
	var page web.Page[group.Member]
	if err := json.Unmarshal(answers[1].Body, &page); err != nil || len(page.Items) != 1 || page.NextCursor == "" {
		t.Errorf("the query of a call: %s, %v", answers[1].Body, err)
	}
	if answers[3].Body != nil {
		t.Errorf("an answer without a body has %s", answers[3].Body)
	}
	if inner := string(answers[10].Body); !strings.Contains(inner, "cannot be a batch") {
		t.Errorf("a batch in a batch: %s", inner)
	}
}

// TestHTTPBatchChecksScopes checks that each call of a batch needs the scope of its own
// operation.
func TestHTTPBatchChecksScopes(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	if got := d.do(t, alice, "POST", "/batch", `{"calls":[{"method":"GET","path":"/me/groups"}]}`).problem(t); got != "403 forbidden" {
		t.Errorf("a user gets %s", got)
	}
	narrow, err := auth.Identity{UserID: "worker"}.WithScope("admin groups:read")
	if err != nil {
		t.Fatal(err)
	}
	got := d.do(t, narrow, "POST", "/batch", `{"calls":[{"method":"GET","path":"/groups"},{"method":"POST","path":"/groups","body":{"name":"g"}}]}`)
	answers := servicetest.Decode[api.BatchAnswers](t, got.body).Answers
	if len(answers) != 2 || answers[0].Status != 200 || answers[1].Status != 403 {
		t.Errorf("%d %s", got.status, got.body)
	}
}

// TestHTTPBatchKeys repeats a batch with a key. Its POST calls must be made once, even with
// a key of the maximum length.
func TestHTTPBatchKeys(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	const post = `{"method":"POST","path":"/groups","body":{"name":"long"}}`
	_, long := d.batch(t, post+","+post, "Idempotency-Key: "+strings.Repeat("k", 255))
	_, repeat := d.batch(t, post+","+post, "Idempotency-Key: "+strings.Repeat("k", 255))
	if long[0].Status != 201 || string(repeat[0].Body) != string(long[0].Body) || string(long[1].Body) == string(long[0].Body) {
		t.Errorf("a long key: %+v, then %+v", long, repeat)
	}
	const calls = `{"method":"POST","path":"/groups","body":{"name":"one"}},{"method":"POST","path":"/groups","body":{"name":"two"},"key":"k"}`
	_, first := d.batch(t, calls, "Idempotency-Key: import")
	_, again := d.batch(t, calls, "Idempotency-Key: import")
	_, other := d.batch(t, calls)
	for i, want := range []bool{false, true} {
		if string(again[i].Body) != string(first[i].Body) {
			t.Errorf("call %d of a repeat: %s, first %s", i, again[i].Body, first[i].Body)
		}
		if same := string(other[i].Body) == string(first[i].Body); same != want {
			t.Errorf("call %d without the batch's key: the same %t", i, same)
		}
	}
}

func TestHTTPBatchMistakes(t *testing.T) {
	t.Parallel()
	d := newEndpoint(t)
	for body, want := range map[string]string{
		``:                       "400 bad_request",
		`{"calls":[]}`:           "422 validation_failed calls",
		`{"calls":[{}],"all":1}`: "422 validation_failed all calls[0].method calls[0].path",
		`{"calls":[{"method":"get","path":"groups"}]}`:                                                                   "422 validation_failed calls[0].method calls[0].path",
		`{"calls":[{"method":"GET","path":"/groups","key":"k","headers":0}]}`:                                            "422 validation_failed calls[0].headers calls[0].key",
		`{"calls":[` + strings.Repeat(`{"method":"GET","path":"/groups"},`, 100) + `{"method":"GET","path":"/groups"}]}`: "422 validation_failed calls",
	} {
		if got := d.do(t, backend, "POST", "/batch", body).problem(t); got != want {
			t.Errorf("%.80s: %s, want %s", body, got, want)
		}
	}
}
