package feed

import (
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moim-live/moim/modules/group"
)

// messages are the messages of the model. Each text is used only once.
type messages struct {
	log *memoryLog

	mu      sync.Mutex
	count   int
	edits   map[int64]int64  // message version -> version of its last edit
	removed map[string]int64 // text -> version of the event that replaced it
	rewound bool             // the log went back, so one version may mean two different events
}

func newMessages(log *memoryLog) *messages {
	return &messages{log: log, edits: make(map[int64]int64), removed: make(map[string]int64)}
}

// messageData is the data of message events.
type messageData struct {
	Version int64  `json:"version,omitempty"` // of the message
	Text    string `json:"text,omitempty"`
}

func (d messageData) String() string {
	raw, err := json.Marshal(d)
	if err != nil {
		panic(err)
	}
	return string(raw)
}

func (m *messages) textLocked() string {
	m.count++
	return fmt.Sprint("text ", m.count)
}

// post appends a message.
func (m *messages) post() group.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.post("g", group.MessagePosted, messageData{Text: m.textLocked()}.String())
}

// change edits or deletes the message with the given version. It returns false if there is
// no such message.
func (m *messages) change(version int64, deletes bool) (e group.Event, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	event, data, ok := m.read(version)
	if !ok || event.Type != group.MessagePosted || data.Text == "" {
		return e, false
	}
	typ, now := group.MessageDeleted, messageData{}
	if !deletes {
		typ, now = group.MessageEdited, messageData{Text: m.textLocked()}
	}
	replace := map[int64]string{version: now.String()}
	if edit := m.edits[version]; edit > 0 {
		replace[edit] = messageData{Version: version}.String()
	}
	e = m.log.rewrite("g", typ, messageData{Version: version, Text: now.Text}.String(), replace)
	m.removed[data.Text], m.edits[version] = e.Version, e.Version
	return e, true
}

func (m *messages) read(version int64) (e group.Event, data messageData, ok bool) {
	m.log.mu.Lock()
	defer m.log.mu.Unlock()
	if version < 1 || version > m.log.heads["g"] {
		return e, data, false
	}
	e = m.log.events["g"][version-1]
	return e, data, json.Unmarshal(e.Data, &data) == nil
}

// rewind sets the log back to an earlier version.
func (m *messages) rewind(head int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log.rewind("g", head)
	m.rewound = true
	clear(m.edits)
	clear(m.removed)
}

// comparable reports whether texts can be compared. After the log went back, they cannot.
func (m *messages) comparable() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.rewound
}

// removedIn returns the version of the event that removed a text, or 0.
func (m *messages) removedIn(text string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.removed[text]
}

// after returns the texts of the messages after a version, as read from the log.
func (m *messages) after(since int64) map[int64]string {
	texts := make(map[int64]string)
	for version := since + 1; ; version++ {
		e, data, ok := m.read(version)
		if !ok {
			return texts
		}
		fold(texts, e.Version, e.Type, data)
	}
}

// fold applies an event to texts as docs/moderation.md describes.
func fold(texts map[int64]string, version int64, typ group.EventType, data messageData) {
	switch typ {
	case group.MessagePosted:
		if data.Text != "" {
			texts[version] = data.Text
		}
	case group.MessageEdited:
		if _, there := texts[data.Version]; there && data.Text != "" {
			texts[data.Version] = data.Text
		}
	case group.MessageDeleted:
		delete(texts, data.Version)
	default:
	}
}

// TestBusySocketIsNotSentDeletedText checks a client whose socket is busy right after its
// answer. The node still keeps a message, but has not heard that the message was deleted
// before the answer. The client must not get the message's text.
func TestBusySocketIsNotSentDeletedText(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, fault := range play(t, []move{
			{name: "subscribe"},
			{name: "read"},
			{name: "read"},
			{name: "release"},
			{name: "subscribe", client: 1}, // this client is not released, so the node keeps recent events
			{name: "read"},
			{name: "read"},
			{name: "post"},
			{name: "delete", long: true}, // the node is not told
			{name: "subscribe", client: 2, back: 2},
			{name: "read"},
			{name: "read"},
			{name: "hold", client: 2},
			{name: "release", client: 2},
			{name: "free", client: 2},
		}) {
			t.Error(fault)
		}
	})
}

const briefly = 2 * time.Millisecond // less than the feed waits for a missing version
