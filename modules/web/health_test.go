package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/web"
)

// broken is a dependency that a test can break.
type broken struct {
	mu  sync.Mutex
	err error
}

func (b *broken) set(err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.err = err
}

func (b *broken) check(context.Context) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.err
}

func newHealth(t *testing.T, database, redis web.Check) *web.Health {
	t.Helper()
	h := web.NewHealth()
	if err := errors.Join(h.Add("database", web.Required, database), h.Add("redis.cache", web.Degradable, redis)); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestHealthStates(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var db, redis broken
		h := newHealth(t, db.check, redis.check)
		want := func(status string, ready bool) web.Report {
			t.Helper()
			<-time.After(time.Second) // wait until the cached answer has expired
			r := h.Report(t.Context())
			if r.Status != status || r.Ready() != ready {
				t.Errorf("%+v, want %s", r, status)
			}
			return r
		}
		want("starting", false)
		h.SetState(web.Ready)
		r := want("ready", true)
		if c := r.Checks["database"]; c.Status != "up" || !c.Required || c.Error != "" {
			t.Errorf("%+v", c)
		}
		redis.set(errors.New("dial redis://user:hunter2@cache:6379: refused"))
		r = want("degraded", true)
		if c := r.Checks["redis.cache"]; c.Status != "down" || c.Required || strings.Contains(c.Error, "hunter2") || !strings.Contains(c.Error, "refused") {
			t.Errorf("%+v", c)
		}
		db.set(fault.ErrUnavailable.WithCause(errors.New("it is a standby")))
		if r = want("unready", false); r.Reason != "database is down: it is a standby" {
			t.Errorf("reason %q", r.Reason)
		}
		db.set(nil)
		redis.set(nil)
		h.SetUnready("another deployment uses this prefix")
		if r = want("unready", false); r.Reason != "another deployment uses this prefix" {
			t.Errorf("reason %q", r.Reason)
		}
		h.SetUnready("")
		want("ready", true)
		h.SetState(web.Draining)
		want("draining", false)
		if err := h.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if err := newHealth(t, nil, nil).Add("database", web.Required, nil); err == nil {
		t.Error("two checks of one name were accepted")
	}
}

func TestHealthIsBoundedAndShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var calls atomic.Int32
		release := make(chan struct{})
		stuck := func(context.Context) error { // ignores its context
			calls.Add(1)
			<-release
			return nil
		}
		h := newHealth(t, func(context.Context) error { return nil }, stuck)
		h.SetState(web.Ready)
		start := time.Now()
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				if r := h.Report(t.Context()); r.Status != "degraded" || r.Checks["redis.cache"].Error == "" {
					t.Errorf("%+v", r)
				}
			})
		}
		wg.Wait()
		if took := time.Since(start); took != time.Second {
			t.Errorf("took %v", took)
		}
		<-time.After(2 * time.Second)
		if r := h.Report(t.Context()); r.Status != "degraded" || calls.Load() != 1 {
			t.Errorf("%+v after %d calls: a stuck check is called again", r, calls.Load())
		}
		release <- struct{}{}
		synctest.Wait()
		<-time.After(2 * time.Second)
		go func() { release <- struct{}{} }()
		if r := h.Report(t.Context()); r.Status != "ready" {
			t.Errorf("%+v: the check came back", r)
		}
		<-time.After(2 * time.Second)
		h.Report(t.Context())
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := h.Stop(ctx); err == nil {
			t.Error("Stop did not wait for the stuck check")
		}
		close(release)
		if err := h.Stop(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestHealthPanics(t *testing.T) {
	t.Parallel()
	h := newHealth(t, func(context.Context) error { panic("boom") }, func(context.Context) error { return nil })
	h.SetState(web.Ready)
	if r := h.Report(t.Context()); r.Status != "unready" {
		t.Errorf("%+v", r)
	}
}

func TestHealthRoutes(t *testing.T) {
	t.Parallel()
	var db, redis broken
	h := newHealth(t, db.check, redis.check)
	s := start(t, web.Config{}, web.WithHealth(h))
	status := func(path string, want int) answer {
		t.Helper()
		a := s.do("GET", path, "", "Authorization", "")
		if a.status != want {
			t.Errorf("%s: %d %s, want %d", path, a.status, a.body, want)
		}
		return a
	}
	status("/healthz", 200)
	status("/readyz", 503)
	h.SetState(web.Ready)
	var r web.Report
	if err := json.Unmarshal([]byte(status("/readyz", 200).body), &r); err != nil || len(r.Checks) != 2 {
		t.Errorf("%+v %v", r, err)
	}
	h.SetState(web.Draining)
	status("/readyz", 503)
	status("/healthz", 200)
	if a := s.do("HEAD", "/readyz", ""); a.status != 503 {
		t.Errorf("HEAD: %d", a.status)
	}
}
