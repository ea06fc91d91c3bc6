package socket

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

type valueKey struct{}

// TestCallIsAContext: whoever waits for a call and whoever only asks see the same.
func TestCallIsAContext(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	ends := map[string]struct {
		do  func(end, endParent func())
		err error
	}{
		"goes on":      {func(_, _ func()) {}, nil},
		"ends":         {func(end, _ func()) { end() }, context.Canceled},
		"parent ends":  {func(_, endParent func()) { endParent() }, context.Canceled},
		"runs out":     {func(_, _ func()) { time.Sleep(timeout) }, context.DeadlineExceeded},
		"nearly so":    {func(_, _ func()) { time.Sleep(timeout - 1) }, nil},
		"ends in time": {func(end, _ func()) { end(); time.Sleep(timeout) }, context.Canceled},
	}
	waits := map[string]func(c context.Context) context.Context{
		"asked":   func(c context.Context) context.Context { return c },
		"waited":  func(c context.Context) context.Context { c.Done(); return c },
		"derived": func(c context.Context) context.Context { return context.WithValue(c, callKey{}, nil) },
		"child": func(c context.Context) context.Context {
			child, cancel := context.WithCancel(c)
			context.AfterFunc(child, cancel)
			return child
		},
	}
	for how, wait := range waits {
		for what, tt := range ends {
			t.Run(how+"/"+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					parent, endParent := context.WithCancel(context.WithValue(t.Context(), valueKey{}, "value"))
					defer endParent()
					c, end := (&Gateway{handlerTimeout: timeout}).call(parent)
					defer end()
					ctx := wait(c)
					tt.do(end, endParent)
					synctest.Wait()
					if err := ctx.Err(); !errors.Is(err, tt.err) {
						t.Errorf("it says %v, want %v", err, tt.err)
					}
					select {
					case <-ctx.Done():
						if tt.err == nil {
							t.Error("it has ended")
						}
					default:
						if tt.err != nil {
							t.Error("it has not ended")
						}
					}
					if v := ctx.Value(valueKey{}); v != "value" {
						t.Errorf("its value is %v", v)
					}
				})
			})
		}
	}
}

// TestCallKeepsAnEarlierDeadline: a call never lasts longer than its parent.
func TestCallKeepsAnEarlierDeadline(t *testing.T) {
	t.Parallel()
	parent, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	c, end := (&Gateway{handlerTimeout: time.Hour}).call(parent)
	defer end()
	want, _ := parent.Deadline()
	if at, ok := c.Deadline(); !ok || !at.Equal(want) {
		t.Errorf("it ends at %v, want %v", at, want)
	}
	if again, _ := (&Gateway{}).call(c); again != c {
		t.Error("a call within a call is another one")
	}
}

// TestCallKeepsItsError, whatever happens after it was asked for.
func TestCallKeepsItsError(t *testing.T) {
	t.Parallel()
	const timeout = time.Second
	wait := func() { time.Sleep(timeout) }
	for name, steps := range map[string]func(wait, end func()) (first, then func()){
		"runs out, ends": func(wait, end func()) (first, then func()) { return wait, end },
		"ends, runs out": func(wait, end func()) (first, then func()) { return end, wait },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				c, end := (&Gateway{handlerTimeout: timeout}).call(t.Context())
				first, then := steps(wait, end)
				first()
				want := c.Err()
				then()
				if err := c.Err(); want == nil || !errors.Is(err, want) {
					t.Errorf("it said %v, and now %v", want, err)
				}
				<-c.Done()
				if err := c.Err(); !errors.Is(err, want) {
					t.Errorf("it said %v, and waited for %v", want, err)
				}
			})
		})
	}
}
