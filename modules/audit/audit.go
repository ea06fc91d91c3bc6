// Package audit defines the log of changes that back ends and operators make. It knows no
// groups and no SQL.
package audit

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// The values of [Entry.Via].
const (
	API     = "api"     // a back end's call, over HTTP or a socket
	Console = "console" // a form of the console
	Command = "command" // the command line
)

type viaKey struct{}

// WithVia returns a context in which [New] creates entries with this Via.
func WithVia(ctx context.Context, via string) context.Context {
	return context.WithValue(ctx, viaKey{}, via)
}

// Entry records one change.
type Entry struct {
	ID      string          `json:"id"`
	At      time.Time       `json:"at" doc:"to the millisecond, by the clock of the node"`
	Actor   string          `json:"actor" doc:"sub of the back end's token; of the command line: os: and the name of the operating system's user"`
	Via     string          `json:"via" enum:"api,console,command"`
	Action  string          `json:"action" doc:"what the back end did, such as update or ban"`
	GroupID string          `json:"groupId,omitempty"`
	UserID  string          `json:"userId,omitempty" doc:"the user whom the change is about; absent if it is about no user, or about several"`
	Before  json.RawMessage `json:"before" format:"object" doc:"what the change replaced, by kind; empty if there was nothing"`
	After   json.RawMessage `json:"after" format:"object" doc:"what is there since, by kind; empty if there is nothing"`

	RequestID string `json:"requestId,omitempty" doc:"id of the request, as in the node's log"`
}

var nothing = json.RawMessage(`{}`)

// New returns an entry about a change that happens now. Its Via is API unless ctx comes
// from [WithVia].
func New(ctx context.Context, actor, action string) (Entry, error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Entry{}, fmt.Errorf("make the id of an audit entry: %w", err)
	}
	at := time.Unix(id.Time().UnixTime()).UTC().Truncate(time.Millisecond)
	via, ok := ctx.Value(viaKey{}).(string)
	if !ok {
		via = API
	}
	return Entry{ID: id.String(), At: at, Actor: actor, Via: via, Action: action, Before: nothing, After: nothing}, nil
}

// Filter selects entries.
type Filter struct {
	Actor  string    // empty for any
	Target string    // id of a group or a user; empty for any
	Since  time.Time // zero for all
}

// Log lists entries. sqlaudit.Store implements it.
type Log interface {
	// Entries lists at most limit entries, newest first, before the one with the given id
	// (if empty, from the newest). It may return fewer if entries are large. Only a result
	// of fewer than two entries means that there are no more.
	Entries(ctx context.Context, f Filter, before string, limit int) ([]Entry, error)
}
