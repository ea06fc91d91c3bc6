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

// messages are those of the model: each has a text that no other one ever has.
type messages struct {
	log *memoryLog

	mu      sync.Mutex
	count   int
	edits   map[int64]int64  // message -> its last edit
	removed map[string]int64 // text -> the event that replaced it
	rewound bool             // the log went back: a version may name two events
}

func newMessages(log *memoryLog) *messages {
	return &messages{log: log, edits: make(map[int64]int64), removed: make(map[string]int64)}
}

// messageData is the data of the events of a message.
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

// post posts a message.
func (m *messages) post() group.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.log.post("g", group.MessagePosted, messageData{Text: m.textLocked()}.String())
}

// change edits or deletes the message of a version. It reports false if there is none.
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

// rewind takes the log back.
func (m *messages) rewind(head int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.log.rewind("g", head)
	m.rewound = true
	clear(m.edits)
	clear(m.removed)
}

// comparable reports whether the texts can be compared: not once the log went back.
func (m *messages) comparable() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.rewound
}

// removedIn returns the version of the event that removed a text, 0 for none.
func (m *messages) removedIn(text string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.removed[text]
}

// after returns the texts of the messages after a version, as a reader of the log finds them.
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

// fold applies an event to texts, as docs/moderation.md says.
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

// A client whose socket is busy right after its answer is sent the events later. Meanwhile
// the node has the message, but has not heard of its deletion, from before the answer. The
// client is not sent the text.
func TestBusySocketIsNotSentDeletedText(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		for _, fault := range play(t, []move{
			{name: "subscribe"},
			{name: "read"},
			{name: "read"},
			{name: "release"},
			{name: "subscribe", client: 1}, // keeps recent events: it is not released
			{name: "read"},
			{name: "read"},
			{name: "post"},
			{name: "delete", long: true}, // the node does not hear of it
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

const briefly = 2 * time.Millisecond // less than the wait for a hole
