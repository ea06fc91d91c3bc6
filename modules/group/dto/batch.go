package dto

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// maxCalls is the maximum number of calls in a batch.
const maxCalls = 100

// BatchRequest makes several calls in one request.
type BatchRequest struct {
	Calls []BatchCall `json:"calls" doc:"1 to 100 calls, made in this order"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: Validate reports
// the mistakes.
func (r *BatchRequest) UnmarshalJSON(data []byte) error { return fill(data, r) }

func (r *BatchRequest) read(o *object) { o.takeList("calls", &r.Calls, maxCalls, "a list of calls") }

// Validate returns the request, or validation_failed with all mistakes.
func (r BatchRequest) Validate() (BatchRequest, error) {
	m := r.begin()
	if len(r.Calls) < 1 || len(r.Calls) > maxCalls {
		m.add("calls", "must have 1 to %d entries", maxCalls)
		return r, m.err()
	}
	for i, call := range r.Calls {
		call.check(&m, fmt.Sprintf("calls[%d].", i))
	}
	return r, m.err()
}

// BatchCall is one call of a batch.
type BatchCall struct {
	Method string          `json:"method" enum:"GET,POST,PUT,PATCH,DELETE"`
	Path   string          `json:"path" doc:"with the query, as /groups/0198c9d2-…/members?limit=10; /v1 in front may be left out"`
	Body   json.RawMessage `json:"body,omitempty" doc:"the JSON body; default: none"`
	Key    string          `json:"key,omitempty" doc:"Idempotency-Key of a POST, at most 255 bytes"`

	reading
}

// UnmarshalJSON implements [json.Unmarshaler]. It never fails: the batch reports the
// mistakes.
func (c *BatchCall) UnmarshalJSON(data []byte) error { return fill(data, c) }

func (c *BatchCall) read(o *object) {
	o.take("method", &c.Method, "a string")
	o.take("path", &c.Path, "a string")
	c.Body, _ = o.raw("body")
	o.take("key", &c.Key, "a string")
}

// check adds the call's mistakes to m. The call itself checks its body.
func (c *BatchCall) check(m *mistakes, place string) {
	for _, mistake := range c.mistakes {
		m.add(place+mistake.Field, "%s", mistake.Message)
	}
	m.oneOf(place+"method", c.Method, http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete)
	if !strings.HasPrefix(c.Path, "/") {
		m.add(place+"path", "must begin with /")
	}
	switch {
	case c.Key == "":
	case c.Method != http.MethodPost:
		m.add(place+"key", "only a POST takes a key: a repeat of another call changes nothing")
	case CheckKey(c.Key) != "":
		m.add(place+"key", "%s", CheckKey(c.Key))
	}
}
