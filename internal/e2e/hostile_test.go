package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

// deepPatch returns a merge patch of attributes with nested objects around a string.
func deepPatch(levels, leaf int) string {
	return `{"attributes":` + strings.Repeat(`{"a":`, levels) + `"` + strings.Repeat("x", leaf) + `"` + strings.Repeat("}", levels) + `}`
}

// unknownFields returns a request for a group with n unknown fields.
func unknownFields(n int) string {
	var out strings.Builder
	out.WriteString(`{"name":"x"`)
	for i := range n {
		fmt.Fprintf(&out, `,"f%d":0`, i)
	}
	return out.String() + "}"
}

// TestHostileInput sends input that is expensive to check, over each endpoint. It must be refused
// with a short answer, and other users must be able to write meanwhile.
func TestHostileInput(t *testing.T) {
	t.Parallel()
	n := startNode(t)
	d := &deployment{nodes: []*node{n}, driver: startDriver(t), token: tokensOf(n)}
	var g, other group
	d.api(0, "ana").must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "Walkers"}, &g)
	d.api(0, "bo").must(t, http.StatusCreated, http.MethodPost, "/groups", object{"name": "Swimmers"}, &other)

	written := make(chan error, 20)
	bo := d.api(0, "bo")
	go func() {
		for i := range cap(written) {
			_, err := bo.do(t.Context(), http.MethodPost, "/groups/"+other.ID+"/messages", object{"data": i}, nil)
			written <- err
		}
	}()
	for _, c := range []struct {
		method, path, body string
		mistakes           int
	}{
		{http.MethodPatch, "/groups/" + g.ID, deepPatch(1_000, 900_000), 1},
		{http.MethodPatch, "/groups/" + g.ID, deepPatch(64, 900_000), 1},
		{http.MethodPatch, "/groups/" + g.ID + "/members/ana", deepPatch(9_900, 900_000), 1},
		{http.MethodPost, "/groups", unknownFields(95_000), 1},
		{http.MethodPost, "/groups", unknownFields(9_900), 50},
	} {
		refusedShortly(t, d.api(0, "ana"), c.method, c.path, c.body, c.mistakes)
	}
	for _, c := range []*client{d.io(t, 0, "ana"), d.ws(t, 0, "ana")} {
		of := func(body string) json.RawMessage { return json.RawMessage(`{"groupId":"` + g.ID + `",` + body[1:]) }
		c.mustRefuse("validation_failed", "group:update", of(deepPatch(1_000, 50_000)))
		c.mustRefuse("validation_failed", "group:update", of(deepPatch(64, 60_000)))
		c.mustRefuse("validation_failed", "group:create", json.RawMessage(unknownFields(5_000)))
		c.must("group:message", object{"groupId": g.ID, "data": "still here"}, nil)
	}
	for range cap(written) {
		if err := <-written; err != nil {
			t.Errorf("another user's message: %v", err)
		}
	}
}

// refusedShortly sends a request and expects a small problem document with this many mistakes.
func refusedShortly(t *testing.T, a api, method, path, body string, mistakes int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, a.base+"/v1"+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+a.token)
	req.Header.Set("Content-Type", "application/json")
	resp, err := httpClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var problem struct {
		Code   string            `json:"code"`
		Errors []json.RawMessage `json:"errors"`
	}
	if err := json.Unmarshal(text, &problem); err != nil || resp.StatusCode != http.StatusUnprocessableEntity ||
		problem.Code != "validation_failed" || len(problem.Errors) != mistakes || len(text) > 16<<10 {
		t.Errorf("%s %s %.40s: %d, %d mistakes in %d bytes: %.200s (%v)", method, path, body, resp.StatusCode, len(problem.Errors), len(text), text, err)
	}
}
