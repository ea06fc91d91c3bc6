package console

import (
	"context"
	"math"
	"runtime/metrics"
	"sync"
	"time"

	"github.com/moim-live/moim/internal/tasks"
)

const (
	sampleEvery = 5 * time.Second
	maxSamples  = 180 // 15 minutes
)

// Measured holds a node's current numbers.
type Measured struct {
	Sockets    int
	Events     float64 // events per second
	Lateness   float64 // in ms; 99 % of the events were not later
	Deliveries int64   // frames written since the start
}

// Sample is the state of a node at one time.
type Sample struct {
	At         int64   `json:"at"` // seconds since 1970
	Sockets    int     `json:"sockets"`
	Events     float64 `json:"events"`     // per second
	Deliveries float64 `json:"deliveries"` // per second
	Lateness   float64 `json:"lateness"`   // ms
	CPU        float64 `json:"cpu"`        // processor seconds per second
	Memory     uint64  `json:"memory"`     // bytes that the Go runtime has obtained from the system
}

// History keeps the samples of this node for 15 minutes. It is safe for concurrent use.
type History struct {
	measure func() Measured
	tasks   *tasks.Group

	mu      sync.Mutex
	samples []Sample // oldest first
	at      time.Time
	frames  int64
	used    time.Duration
}

// NewHistory returns a History that calls measure for each sample.
func NewHistory(measure func() Measured) *History {
	return &History{measure: measure, tasks: tasks.New()}
}

// Start takes a sample now, and then every five seconds.
func (h *History) Start(context.Context) error {
	h.take(time.Now())
	h.tasks.Run(func(ctx context.Context) {
		tasks.Every(ctx, sampleEvery, nil, func() { h.take(time.Now()) })
	})
	return nil
}

// Stop stops taking samples.
func (h *History) Stop(ctx context.Context) error { return h.tasks.Stop(ctx) }

// Samples returns the samples, the oldest first.
func (h *History) Samples() []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]Sample{}, h.samples...)
}

// Last returns the last sample. It is zero before Start.
func (h *History) Last() Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.samples) == 0 {
		return Sample{}
	}
	return h.samples[len(h.samples)-1]
}

func (h *History) take(now time.Time) {
	m, used, memory := h.measure(), processorTime(), memoryInUse()
	h.mu.Lock()
	defer h.mu.Unlock()
	s := Sample{At: now.Unix(), Sockets: m.Sockets, Events: round(m.Events), Lateness: round(m.Lateness), Memory: memory}
	if seconds := now.Sub(h.at).Seconds(); !h.at.IsZero() && seconds > 0 {
		s.Deliveries = round(float64(m.Deliveries-h.frames) / seconds)
		s.CPU = math.Round(100*(used-h.used).Seconds()/seconds) / 100
	}
	h.at, h.frames, h.used = now, m.Deliveries, used
	if len(h.samples) == maxSamples {
		h.samples = append(h.samples[:0], h.samples[1:]...)
	}
	h.samples = append(h.samples, s)
}

func round(x float64) float64 { return math.Round(10*x) / 10 }

func memoryInUse() uint64 {
	read := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	metrics.Read(read)
	return read[0].Value.Uint64() - read[1].Value.Uint64()
}
