package childtest

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strconv"
	"sync"
	"testing"
)

// atOnce is the number of tests of a package that run at the same time. The tests mostly wait.
const atOnce = 8

// Closer is a value that Main closes after the last test, such as a [Shared].
type Closer interface{ Close(failed bool) }

// Main returns a TestingM for VerifyMain. It runs several parallel tests at once even with few
// processors, unless the flag -parallel is set. Then it closes the shared values.
func Main(m *testing.M, shared ...Closer) *Tests { return &Tests{m, atOnce, shared} }

// Tests are the tests of a package. See [Main].
type Tests struct {
	m      *testing.M
	atOnce int
	shared []Closer
}

// AtOnce makes only n tests run at the same time. Use it if the tests need much processor time.
func (t *Tests) AtOnce(n int) *Tests {
	t.atOnce = n
	return t
}

// Run implements goleak.TestingM.
func (t *Tests) Run() int {
	flag.Parse()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == "test.parallel" })
	if now, err := strconv.Atoi(flag.Lookup("test.parallel").Value.String()); !given && err == nil && now < t.atOnce {
		if err := flag.Set("test.parallel", strconv.Itoa(t.atOnce)); err != nil {
			panic(err)
		}
	}
	code := t.m.Run()
	for _, s := range t.shared {
		s.Close(code != 0)
	}
	return code
}

// Shared is a server that the tests of a package share. The first test that needs it starts
// it. It ends after the last test, if it was passed to [Main].
type Shared[S any] struct {
	// Start starts the server. It is called with a TB whose Cleanup functions
	// run after the last test.
	Start func(tb testing.TB) *S

	mu      sync.Mutex
	server  *S
	lasting *lasting
}

// Get returns the server. If the server cannot be started, the test is skipped or fails, as
// Start decides.
func (s *Shared[S]) Get(tb testing.TB) *S {
	tb.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.server == nil {
		s.lasting = &lasting{TB: tb}
		s.server = s.Start(s.lasting)
	}
	return s.server
}

// Close implements [Closer].
func (s *Shared[S]) Close(failed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lasting != nil {
		s.lasting.close(failed)
	}
}

// lasting is a test whose servers last until all tests are over.
type lasting struct {
	testing.TB // the test that needed the server first

	cleanups []func()
	failed   bool
}

func (l *lasting) Cleanup(fn func())        { l.cleanups = append(l.cleanups, fn) }
func (l *lasting) Context() context.Context { return context.Background() }
func (l *lasting) Failed() bool             { return l.failed }

// Logf writes to standard error, because the test may have ended.
func (l *lasting) Logf(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }

func (l *lasting) TempDir() string {
	dir, err := os.MkdirTemp("", "childtest")
	if err != nil {
		l.Fatal(err)
	}
	l.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

func (l *lasting) close(failed bool) {
	l.failed = failed
	for i := len(l.cleanups) - 1; i >= 0; i-- {
		l.cleanups[i]()
	}
}
