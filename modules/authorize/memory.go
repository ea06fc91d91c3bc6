package authorize

import (
	"crypto/sha256"
	"time"

	"github.com/maypok86/otter/v2"

	"github.com/moim-live/moim/modules/group"
)

const (
	// memoryBytes is the approximate memory that a node uses for answers. It drops those
	// that are rarely used.
	memoryBytes = 16 << 20
	// answerCost is the cost of an answer in addition to its bytes. patchCost is the cost
	// of each byte once its attributes are parsed.
	answerCost = 256
	patchCost  = 4
)

// memory keeps answers for as long as the back end allows. It is safe for concurrent use.
type memory struct {
	answers *otter.Cache[string, answer]
}

func newMemory() (*memory, error) {
	answers, err := otter.New(&otter.Options[string, answer]{
		MaximumWeight:    memoryBytes,
		Weigher:          func(key string, a answer) uint32 { return uint32(len(key) + patchCost*a.size + answerCost) },
		ExpiryCalculator: otter.ExpiryWritingFunc(func(e otter.Entry[string, answer]) time.Duration { return max(e.Value.ttl, 1) }),
	})
	if err != nil {
		return nil, err
	}
	answers.StopAllGoroutines() // otter returns no expired entries, and removes them on writes
	return &memory{answers}, nil
}

// keyOf returns the key under which an answer is remembered. Answers to create and join
// depend on the data, because their attributes are stored. Other answers are valid for a
// user and a group, whatever the data.
func keyOf(q group.Question, body []byte) string {
	key := q.Event + "\x00" + q.UserID + "\x00" + q.GroupID
	if q.Event == group.AskCreate || q.Event == group.AskJoin {
		sum := sha256.Sum256(body)
		key += "\x00" + string(sum[:])
	}
	return key
}

func (m *memory) find(key string) (answer, bool) { return m.answers.GetIfPresent(key) }

func (m *memory) keep(key string, a answer) {
	if a.ttl > 0 {
		m.answers.Set(key, a)
	}
}
