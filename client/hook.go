package client

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	// maxDelivery is more than the size of any delivery. So much is read before the
	// signature is verified.
	maxDelivery = 2 << 20
	// tolerance is the allowed difference between the time of a delivery and this machine's
	// clock.
	tolerance = 5 * time.Minute
)

// Delivery has events of one group, or changes of presence in it, in order.
type Delivery struct {
	ID       string // the same for a repeat
	Hook     string
	GroupID  string
	Gap      bool // earlier events are lost: read the group again
	Events   []Event
	Presence []PresenceChange // if set, there are no events
}

// PresenceChange says that a user came online in a group, or went offline. It may come late
// or more than once. Of two changes of a user in a group, the one with the larger N is
// current.
type PresenceChange struct {
	Type    string    `json:"type"` // presence.online or presence.offline
	GroupID string    `json:"groupId"`
	UserID  string    `json:"userId"`
	At      time.Time `json:"at"`
	N       int64     `json:"n"`
}

// UnmarshalJSON implements json.Unmarshaler.
func (d *Delivery) UnmarshalJSON(data []byte) error {
	var body struct {
		Hook    string            `json:"hook"`
		GroupID string            `json:"groupId"`
		Gap     bool              `json:"gap"`
		Events  []json.RawMessage `json:"events"`
	}
	if err := json.Unmarshal(data, &body); err != nil {
		return err
	}
	d.Hook, d.GroupID, d.Gap, d.Events, d.Presence = body.Hook, body.GroupID, body.Gap, nil, nil
	for _, raw := range body.Events {
		var of struct {
			Type string `json:"type"`
		}
		err := json.Unmarshal(raw, &of)
		switch {
		case err != nil:
		case strings.HasPrefix(of.Type, "presence."):
			d.Presence = append(d.Presence, PresenceChange{})
			err = json.Unmarshal(raw, &d.Presence[len(d.Presence)-1])
		default:
			d.Events = append(d.Events, Event{})
			err = json.Unmarshal(raw, &d.Events[len(d.Events)-1])
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// Hook returns a handler for the URL of a hook. It verifies the signature with secret, and
// calls fn. If fn returns nil, the delivery counts as accepted, and the next one for the
// group follows. Otherwise the delivery is repeated, so fn must recognise events that it
// has already processed, by their versions. Presence is delivered separately from events,
// possibly at the same time. Hook returns an error for an invalid secret.
func Hook(secret string, fn func(ctx context.Context, d Delivery) error) (http.Handler, error) {
	return signed(secret, func(w http.ResponseWriter, r *http.Request, body []byte) {
		d := Delivery{ID: r.Header.Get("webhook-id")}
		if err := json.Unmarshal(body, &d); err != nil {
			http.Error(w, "the body is no delivery", http.StatusBadRequest)
			return
		}
		if err := fn(r.Context(), d); err != nil {
			http.Error(w, "not done", http.StatusInternalServerError)
			return
		}
		w.WriteHeader(http.StatusNoContent)
	})
}

// signed returns a handler that calls fn with bodies whose signature is valid.
func signed(secret string, fn func(w http.ResponseWriter, r *http.Request, body []byte)) (http.Handler, error) {
	key, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(secret, "whsec_"))
	if err != nil || len(key) == 0 {
		return nil, errors.New("the secret is not whsec_ and base64")
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxDelivery))
		if err != nil {
			http.Error(w, "the body cannot be read", http.StatusBadRequest)
			return
		}
		if err := verify(key, r.Header, body, time.Now()); err != nil {
			http.Error(w, err.Error(), http.StatusUnauthorized)
			return
		}
		fn(w, r, body)
	}), nil
}

// verify checks the signature according to the Standard Webhooks specification.
func verify(key []byte, header http.Header, body []byte, now time.Time) error {
	seconds, err := strconv.ParseInt(header.Get("webhook-timestamp"), 10, 64)
	if err != nil {
		return errors.New("webhook-timestamp is missing")
	}
	if age := now.Sub(time.Unix(seconds, 0)); age.Abs() > tolerance {
		return fmt.Errorf("webhook-timestamp is more than %s from now", tolerance)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "%s.%d.", header.Get("webhook-id"), seconds)
	mac.Write(body)
	want := mac.Sum(nil)
	for signature := range strings.FieldsSeq(header.Get("webhook-signature")) {
		text, known := strings.CutPrefix(signature, "v1,")
		got, err := base64.StdEncoding.DecodeString(text)
		if known && err == nil && hmac.Equal(got, want) {
			return nil
		}
	}
	return errors.New("webhook-signature is wrong")
}
