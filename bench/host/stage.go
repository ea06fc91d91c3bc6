//go:build linux

package host

import (
	"context"
	"fmt"
	"os"
	"testing"
)

// stage stands in for a test, so that servers for tests can run outside of one.
type stage struct {
	testing.TB // nil; methods that are not overridden must not be called

	ctx      context.Context //nolint:containedctx // as a test's
	cleanups []func()
	failed   bool
}

// failure is the panic value of a failing test.
type failure struct{ err error }

// try calls fn. If fn fails or skips the test, try returns an error.
func (s *stage) try(fn func()) (err error) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case failure:
			err = r.err
		default:
			panic(r)
		}
	}()
	fn()
	return nil
}

func (s *stage) end() {
	for len(s.cleanups) > 0 {
		last := len(s.cleanups) - 1
		fn := s.cleanups[last]
		s.cleanups = s.cleanups[:last]
		fn()
	}
}

func (s *stage) Helper()                  {}
func (s *stage) Context() context.Context { return s.ctx }
func (s *stage) Cleanup(fn func())        { s.cleanups = append(s.cleanups, fn) }
func (s *stage) Failed() bool             { return s.failed }
func (s *stage) Logf(string, ...any)      {}

func (s *stage) Fatalf(format string, args ...any) {
	s.failed = true
	panic(failure{fmt.Errorf(format, args...)})
}

func (s *stage) Skip(args ...any)                 { s.skip(fmt.Sprint(args...)) }
func (s *stage) Skipf(format string, args ...any) { s.skip(fmt.Sprintf(format, args...)) }

func (s *stage) skip(why string) {
	panic(failure{fmt.Errorf("%w: %s", ErrMissing, why)})
}

func (s *stage) TempDir() string {
	dir, err := os.MkdirTemp("", "moim-bench")
	if err != nil {
		s.Fatalf("make a folder: %v", err)
	}
	s.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}
