package web

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/gin-gonic/gin"

	"github.com/moim-live/moim/internal/tasks"
	"github.com/moim-live/moim/modules/fault"
)

// State is a phase in the life of a node.
type State int

// The states.
const (
	Starting State = iota
	Ready
	Draining
)

// Class is what a failing check means for the node.
type Class int

// The classes.
const (
	Required   Class = iota // the node is not ready
	Degradable              // the node is ready, but degraded
)

// Check checks that a dependency answers. It must respect ctx.
type Check func(ctx context.Context) error

const (
	checkTimeout = time.Second
	checkEvery   = time.Second // how long results are reused
)

// Health holds the state of the node and checks its dependencies. It is safe
// for concurrent use.
type Health struct {
	goroutines *tasks.Group

	mu        sync.Mutex
	state     State
	unready   string
	checks    []*check
	results   map[string]CheckResult
	checkedAt time.Time
	checking  chan struct{} // closed when the running checks are done; nil if none are running
}

type check struct {
	name    string
	class   Class
	fn      Check
	running sync.Mutex // held while fn is running, which may take longer than checkTimeout
}

// Report is the answer of /readyz.
type Report struct {
	Status string                 `json:"status"` // ready, degraded, starting, draining or unready
	Reason string                 `json:"reason,omitempty"`
	Checks map[string]CheckResult `json:"checks"`
}

// CheckResult is the result of one check.
type CheckResult struct {
	Status    string  `json:"status"` // up or down
	Required  bool    `json:"required"`
	LatencyMs float64 `json:"latencyMs"`
	Error     string  `json:"error,omitempty"`
}

// NewHealth returns a Health in state [Starting] without checks.
func NewHealth() *Health { return &Health{goroutines: tasks.New()} }

// Add adds a check. It returns an error if there is a check with that name.
func (h *Health) Add(name string, class Class, fn Check) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if slices.ContainsFunc(h.checks, func(c *check) bool { return c.name == name }) {
		return fmt.Errorf("web: two health checks for %q", name)
	}
	h.checks = append(h.checks, &check{name: name, class: class, fn: fn})
	h.results = nil
	return nil
}

// SetState sets the state of the node.
func (h *Health) SetState(s State) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.state = s
	if s == Ready {
		h.results = nil // earlier results are not valid in the new state
	}
}

// RefuseUntilStarted is a middleware that refuses all requests except health checks while a
// node starts.
func RefuseUntilStarted(h *Health) gin.HandlerFunc {
	return func(c *gin.Context) {
		h.mu.Lock()
		starting := h.state == Starting
		h.mu.Unlock()
		if path := c.FullPath(); starting && path != healthPath && path != readyPath {
			newProblem(c.Request.Context(), fault.ErrUnavailable.WithMessage("this node is starting: try again")).write(c)
			c.Abort()
		}
	}
}

const healthPath, readyPath = "/healthz", "/readyz"

// SetUnready makes the node not ready for the given reason. An empty reason ends this.
func (h *Health) SetUnready(reason string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.unready = reason
}

// Stop stops the checks and waits for running ones until ctx ends. After that, reports
// repeat the last results.
func (h *Health) Stop(ctx context.Context) error {
	if err := h.goroutines.Finish(ctx); err != nil {
		return fmt.Errorf("wait for health checks: %w", err)
	}
	return nil
}

// Report runs all checks concurrently, each for at most a second. It reuses results that
// are less than a second old.
func (h *Health) Report(ctx context.Context) Report {
	results := h.check(ctx)
	if results == nil {
		results = map[string]CheckResult{}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	r := Report{Status: "ready", Checks: results}
	for _, c := range h.checks {
		if results[c.name].Status == "up" {
			continue
		}
		if c.class == Required {
			r.Status, r.Reason = "unready", c.name+" is down"
			if why := results[c.name].Error; why != "" {
				r.Reason += ": " + why
			}
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

// Ready reports whether the node accepts traffic.
func (r Report) Ready() bool { return r.Status == "ready" || r.Status == "degraded" }

// check returns fresh results. Concurrent callers share one run of the checks.
func (h *Health) check(ctx context.Context) map[string]CheckResult {
	h.mu.Lock()
	if h.results != nil && time.Since(h.checkedAt) < checkEvery {
		defer h.mu.Unlock()
		return h.results
	}
	done := h.checking
	if done == nil {
		done = make(chan struct{})
		if !h.goroutines.Run(func(ctx context.Context) { h.runAll(ctx, done) }) {
			defer h.mu.Unlock()
			return h.results
		}
		h.checking = done
	}
	h.mu.Unlock()
	select {
	case <-done:
		h.mu.Lock()
		defer h.mu.Unlock()
		return h.results
	case <-ctx.Done():
		return nil
	}
}

// runAll runs the checks. It does not use the context of a caller, because all callers
// share the results.
func (h *Health) runAll(ctx context.Context, done chan struct{}) {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	h.mu.Lock()
	checks := slices.Clone(h.checks)
	h.mu.Unlock()

	results := make([]CheckResult, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		wg.Go(func() { results[i] = h.run(ctx, c) })
	}
	wg.Wait()

	h.mu.Lock()
	defer h.mu.Unlock()
	h.results = make(map[string]CheckResult, len(checks))
	for i, c := range checks {
		h.results[c.name] = results[i]
	}
	h.checkedAt = time.Now()
	h.checking = nil
	close(done)
}

// run runs one check. If the check does not return in time, run leaves it running, and does
// not call it again before it has returned.
func (h *Health) run(ctx context.Context, c *check) CheckResult {
	start := time.Now()
	err := errNoAnswer
	if c.running.TryLock() {
		answer := make(chan error, 1)
		h.goroutines.Run(func(context.Context) {
			defer c.running.Unlock()
			answer <- guard(ctx, c.fn)
		})
		select {
		case err = <-answer:
		case <-ctx.Done():
		}
	}
	r := CheckResult{
		Status:    "up",
		Required:  c.class == Required,
		LatencyMs: float64(time.Since(start).Microseconds()) / 1000,
	}
	if err != nil {
		if e, ok := errors.AsType[*fault.Error](err); ok && e.Unwrap() != nil {
			err = e.Unwrap() // the message for clients has less detail
		}
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

// redact removes passwords in URLs and shortens the text, because /readyz needs no token.
func redact(text string) string {
	text = passwords.ReplaceAllString(text, "$1:***@")
	if len(text) > 200 {
		text = text[:200]
	}
	return text
}

type aliveAnswer struct {
	Status string `json:"status"`
	Node   string `json:"node,omitempty"`
}

func (a *API) serveHealth() {
	if a.health == nil {
		return
	}
	alive := func(c *gin.Context) { c.JSON(http.StatusOK, aliveAnswer{Status: "alive", Node: a.node}) }
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
		a.handle(method, healthPath, alive)
		a.handle(method, readyPath, ready)
	}
}
