package group

import (
	"context"
	"encoding/json"
	"testing"
	"time"
)

// noLog is a log without other events.
type noLog struct{ EventTx }

func (noLog) Event(context.Context, int64) (*Event, error) { return nil, nil } //nolint:nilnil // by contract, nil means that the event is not in the log

// TestBlankWhatIsNotReadable checks that unreadable data is blanked, too. Otherwise an
// erasure job could never finish.
func TestBlankWhatIsNotReadable(t *testing.T) {
	t.Parallel()
	user, at := "vic", time.Date(2026, 11, 23, 10, 0, 0, 0, time.UTC)
	for typ, want := range map[EventType]string{
		MessagePosted:  `{"type":"","data":null,"deletedAt":"2026-11-23T10:00:00Z"}`,
		MessageEdited:  `{"version":0,"data":null,"replacedIn":7}`,
		MessageDeleted: `["text"]`, // valid JSON, but without a user
		MemberLeft:     `["text"]`,
	} {
		e := Event{Version: 7, Type: typ, Actor: &user, Data: json.RawMessage(`["text"]`)}
		got, err := blanker{user, at}.blank(t.Context(), noLog{}, e)
		if err != nil || string(got) != want {
			t.Errorf("%s: %s, %v; want %s", typ, got, err, want)
		}
	}
}
