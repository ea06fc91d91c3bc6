package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
)

// State is what a node does as a whole.
type State int

// The states.
const (
	Starting State = iota
	Ready
	Draining
)

// Class says what a failing check means for the node.
type Class int

// The classes.
const (
	Required   Class = iota // without it the node is not ready
	Degradable              // without it the node does less
)

// Check asks a dependency whether it answers. It must respect ctx.
type Check func(ctx context.Context) error

const (
	checkTimeout = time.Second
	checkFresh   = time.Second // how long an answer serves everyone who asks
)

// Health is what a node knows of itself and its dependencies. Its methods may
// be called concurrently.
type Health struct {
	now func() time.Time

	mu      sync.Mutex
	state   State
	unready string
	checks  []*check
	names   map[string]bool
	last    map[string]CheckResult
	lastAt  time.Time
	flight  chan struct{} // closed when the checks under way are done; nil: none are
	stopped bool

	running sync.WaitGroup
}

type check struct {
	name  string
	class Class
	fn    Check
	busy  bool // an earlier call has not come back; only one flight touches it, under Health.mu
}

// Report is the answer of /readyz.
type Report struct {
	Status string                 `json:"status"` // ready, degraded, starting, draining or unready
	Reason string                 `json:"reason,omitempty"`
	Checks map[string]CheckResult `json:"checks"`
}

// CheckResult is what one dependency answered.
type CheckResult struct {
	Status    string  `json:"status"` // up or down
	Required  bool    `json:"required"`
	LatencyMs float64 `json:"latencyMs"`
	Error     string  `json:"error,omitempty"`
}

// NewHealth returns a Health in state [Starting] without checks.
func NewHealth() *Health {
	return &Health{now: time.Now, names: map[string]bool{}}
}

// Add adds a check. Two of the same name are an error.
func (h *Health) Add(name string, class Class, fn Check) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.names[name] {
		return fmt.Errorf("web: two health checks for %q", name)
	}
	h.names[name] = true
	h.checks = append(h.checks, &check{name: name, class: class, fn: fn})
	h.lastAt = time.Time{}
	return nil
}

// SetState says what the node does now.
func (h *Health) SetState(s State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state = s
}

// SetUnready takes the node out of service for a reason; an empty one puts it
// back.
func (h *Health) SetUnready(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unready = reason
}

// Stop ends checking and waits for checks under way, at most as long as ctx.
// Reports repeat the last results from then on.
func (h *Health) Stop(ctx context.Context) error {
	h.mu.Lock()
	h.stopped = true
	h.mu.Unlock()
	done := make(chan struct{})
	go func() {
		h.running.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for health checks: %w", ctx.Err())
	}
}

// Report asks all dependencies at once, each for a second at most. An answer
// up to a second old is given again.
func (h *Health) Report(ctx context.Context) Report {
	results := h.results(ctx)
	h.mu.Lock()
	defer h.mu.Unlock()
	r := Report{Status: "ready", Checks: results}
	for _, c := range h.checks {
		if results[c.name].Status == "up" {
			continue
		}
		if c.class == Required {
			r.Status, r.Reason = "unready", c.name+" is down"
			break
		}
		r.Status = "degraded"
	}
	switch {
	case h.state == Draining:
		r.Status, r.Reason = "draining", ""
	case h.state == Starting:
		r.Status, r.Reason = "starting", ""
	case h.unready != "":
		r.Status, r.Reason = "unready", h.unready
	}
	return r
}

// Ready reports whether the node wants traffic.
func (r Report) Ready() bool { return r.Status == "ready" || r.Status == "degraded" }

// results returns fresh answers. One caller asks, the others wait for it.
func (h *Health) results(ctx context.Context) map[string]CheckResult {
	for {
		h.mu.Lock()
		if h.stopped || h.last != nil && h.now().Sub(h.lastAt) < checkFresh {
			defer h.mu.Unlock()
			return h.last
		}
		flight := h.flight
		if flight == nil {
			flight = make(chan struct{})
			h.flight = flight
			h.running.Add(1)
			go h.ask(flight)
		}
		h.mu.Unlock()
		select {
		case <-flight:
		case <-ctx.Done():
			return map[string]CheckResult{}
		}
	}
}

// ask runs the checks, for everyone who waits: so not with a caller's context.
func (h *Health) ask(flight chan struct{}) {
	defer h.running.Done()
	ctx, cancel := context.WithTimeout(context.Background(), checkTimeout)
	defer cancel()
	h.mu.Lock()
	checks := h.checks[:len(h.checks):len(h.checks)]
	h.mu.Unlock()

	results := make([]CheckResult, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() { results[i] = h.run(ctx, c) })
	}
	wg.Wait()

	h.mu.Lock()
	defer h.mu.Unlock()
	h.last = make(map[string]CheckResult, len(checks))
	for i, c := range checks {
		h.last[c.name] = results[i]
	}
	h.lastAt = h.now()
	h.flight = nil
	close(flight)
}

// run asks one dependency. A check that does not come back in time is left
// running, and not called again before it does.
func (h *Health) run(ctx context.Context, c *check) CheckResult {
	h.mu.Lock()
	busy := c.busy
	c.busy = true
	h.mu.Unlock()
	start := h.now()
	err := errNoAnswer
	if !busy {
		answer := make(chan error, 1)
		h.running.Add(1)
		go func() {
			defer h.running.Done()
			err := guard(ctx, c.fn)
			h.mu.Lock()
			c.busy = false
			h.mu.Unlock()
			answer <- err
		}()
		select {
		case err = <-answer:
		case <-ctx.Done():
		}
	}
	r := CheckResult{
		Status:    "up",
		Required:  c.class == Required,
		LatencyMs: float64(h.now().Sub(start).Microseconds()) / 1000,
	}
	if err != nil {
		r.Status, r.Error = "down", redact(err.Error())
	}
	return r
}

var errNoAnswer = errors.New("no answer within " + checkTimeout.String())

func guard(ctx context.Context, fn Check) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fmt.Errorf("the check panicked: %v", v)
		}
	}()
	return fn(ctx)
}

var passwords = regexp.MustCompile(`(://[^\s:/@]*):[^\s@]*@`)

// redact hides passwords in URLs and bounds the text: /readyz needs no token.
func redact(text string) string {
	text = passwords.ReplaceAllString(text, "$1:***@")
	if len(text) > 200 {
		text = text[:200]
	}
	return text
}

func (a *API) serveHealth() {
	if a.health == nil {
		return
	}
	alive := func(c *gin.Context) { c.JSON(http.StatusOK, gin.H{"status": "alive"}) }
	ready := func(c *gin.Context) {
		r := a.health.Report(c.Request.Context())
		status := http.StatusOK
		if !r.Ready() {
			status = http.StatusServiceUnavailable
		}
		c.Header("Cache-Control", "no-store")
		c.JSON(status, r)
	}
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		a.handle(method, "/healthz", alive)
		a.handle(method, "/readyz", ready)
	}
}
