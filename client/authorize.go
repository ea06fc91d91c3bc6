package client

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// Question asks whether a user may do something: see docs/authorize.md.
type Question struct {
	Event   string          `json:"event"` // connect, create, join, message or signal
	UserID  string          `json:"userId"`
	GroupID string          `json:"groupId"` // empty for connect and create
	Data    json.RawMessage `json:"data"`
}

// Verdict is the answer to a [Question].
type Verdict struct {
	Allow   bool
	Code    string // code of a refusal, for programs: lower-case letters, digits and _
	Message string // message of a refusal, for people
	// Attributes are merged into those of a new group, or become those of a new member.
	Attributes map[string]any
	// TTL is how long the answer is valid, at most an hour; 0 means for this question only.
	TTL time.Duration
}

// MarshalJSON implements [json.Marshaler].
func (v Verdict) MarshalJSON() ([]byte, error) {
	return json.Marshal(struct {
		Allow      bool           `json:"allow"`
		Code       string         `json:"code,omitempty"`
		Message    string         `json:"message,omitempty"`
		Attributes map[string]any `json:"attributes,omitempty"`
		TTL        float64        `json:"ttl,omitempty"`
	}{v.Allow, v.Code, v.Message, v.Attributes, v.TTL.Seconds()})
}

// Authorize returns a handler for authorize.url. It verifies the signature with
// authorize.secret, and answers with the result of fn. If fn returns an error, Moim
// refuses, unless authorize.open is set. fn has two seconds. Authorize returns an error for
// an invalid secret.
func Authorize(secret string, fn func(ctx context.Context, q Question) (Verdict, error)) (http.Handler, error) {
	return signed(secret, func(w http.ResponseWriter, r *http.Request, body []byte) {
		var q Question
		if err := json.Unmarshal(body, &q); err != nil || q.Event == "" {
			http.Error(w, "the body is no question", http.StatusBadRequest)
			return
		}
		v, err := fn(r.Context(), q)
		var answer []byte
		if err == nil {
			answer, err = json.Marshal(v)
		}
		if err != nil {
			http.Error(w, "not decided", http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(answer)
	})
}
