package limit_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/toggle"
	"github.com/moim-live/moim/modules/fault"
	"github.com/moim-live/moim/modules/limit"
)

// clock is a clock that the test advances.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) add(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// start returns limits with their own clock.
func start(t *testing.T, cfg limit.Config, census limit.Census) (*limit.Limits, *clock) {
	t.Helper()
	at := &clock{now: time.Unix(1_700_000_000, 0)}
	l, err := limit.New(cfg, limit.Deps{Now: at.Now, Census: census})
	if err != nil {
		t.Fatal(err)
	}
	return l, at
}

// wait returns the time after which a refused call may be repeated. It returns 0 if the
// call was allowed.
func wait(t *testing.T, err error) time.Duration {
	t.Helper()
	if err == nil {
		return 0
	}
	limited, ok := errors.AsType[*fault.Error](err)
	if !ok || limited.Kind != fault.RateLimited || limited.Retry <= 0 {
		t.Fatalf("got %v", err)
	}
	return limited.Retry
}

// TestRates uses each rate up, and checks that a call is allowed again after the returned
// time.
func TestRates(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		ask   func(*limit.Limits, string) error
		burst int
		every time.Duration
	}{
		"address.connects": {func(l *limit.Limits, of string) error { return l.Connect(of) }, 500, 20 * time.Millisecond},
		"user.requests":    {func(l *limit.Limits, of string) error { return l.Request(of) }, 200, 20 * time.Millisecond},
		"user.reads":       {func(l *limit.Limits, of string) error { return l.Read(of) }, 100, 50 * time.Millisecond},
		"user.creates":     {func(l *limit.Limits, of string) error { return l.Create(of) }, 20, time.Minute},
		"user.joins":       {func(l *limit.Limits, of string) error { return l.Join(of, "g1") }, 5, 12 * time.Second},
		"user.messages":    {func(l *limit.Limits, of string) error { return l.Message(of, 1) }, 50, 100 * time.Millisecond},
		"presence.states":  {func(l *limit.Limits, of string) error { return l.State(of) }, 10, 100 * time.Millisecond},
	}
	for key, test := range tests {
		t.Run(key, func(t *testing.T) {
			t.Parallel()
			l, at := start(t, limit.Config{}, nil)
			for i := range test.burst {
				if err := test.ask(l, "alice"); err != nil {
					t.Fatalf("call %d: %v", i, err)
				}
			}
			err := test.ask(l, "alice")
			if !strings.Contains(fmt.Sprint(err), "limit."+key) {
				t.Errorf("the refusal does not name the limit: %v", err)
			}
			retry := wait(t, err)
			if retry > test.every || retry < test.every*9/10 {
				t.Errorf("the returned time is %v, want %v", retry, test.every)
			}
			if err := test.ask(l, "bob"); err != nil {
				t.Errorf("another user: %v", err)
			}
			at.add(test.every)
			if err := test.ask(l, "alice"); err != nil {
				t.Errorf("after the returned time: %v", err)
			}
			if test.ask(l, "alice") == nil {
				t.Error("two calls are allowed instead of one")
			}
		})
	}
}

// TestDeliveries charges recipients and bytes. A delivery that costs more than a full
// bucket is allowed once. Its whole cost must then be paid back.
func TestDeliveries(t *testing.T) {
	t.Parallel()
	l, at := start(t, limit.Config{}, nil)
	if err := l.Deliver("alice", 1_000_000, 1); err != nil {
		t.Fatal(err)
	}
	if retry := wait(t, l.Deliver("alice", 1, 1)); retry < 44*time.Second || retry > 46*time.Second {
		t.Errorf("the wait is %v for a debt of 900,000 at 20,000/s", retry)
	}
	// Calls of another user cause unused buckets to be removed.
	for range 4 {
		at.add(11 * time.Second)
		if err := l.Deliver("bob", 1, 1); err != nil {
			t.Fatal(err)
		}
	}
	if wait(t, l.Deliver("alice", 1, 1)) == 0 {
		t.Error("a bucket in debt was removed")
	}
	at.add(7 * time.Second) // the debt is paid, and the bucket is full again
	for range 10 {
		if err := l.Deliver("alice", 1000, 2500); err != nil { // 2.5 MB
			t.Fatal(err)
		}
	}
	if err := l.Deliver("alice", 1000, 2500); err != nil {
		t.Errorf("refused although the bytes are not used up: %v", err)
	}
	if wait(t, l.Deliver("alice", 1, 1)) == 0 {
		t.Error("27.5 MB are allowed at once, want at most 25 MiB")
	}
}

// TestBuckets checks that an unused bucket is removed only when it is full. A user must not
// get a new bucket earlier.
func TestBuckets(t *testing.T) {
	t.Parallel()
	l, at := start(t, limit.Config{}, nil)
	for range 20 {
		if err := l.Create("alice"); err != nil {
			t.Fatal(err)
		}
	}
	// The user uses up what they regain each minute. Meanwhile, several generations of
	// buckets are removed.
	for range 60 {
		at.add(time.Minute)
		if err := l.Create("alice"); err != nil {
			t.Fatal(err)
		}
		if l.Create("alice") == nil {
			t.Fatal("a bucket was removed before it was full")
		}
	}
}

func TestMeter(t *testing.T) {
	t.Parallel()
	l, at := start(t, limit.Config{}, nil)
	m := l.Meter()
	allowed := 0
	for range 300 {
		if _, err := m.Request(10); err == nil {
			allowed++
		}
	}
	if allowed != 200 {
		t.Errorf("%d requests are allowed at once, want 200", allowed)
	}
	insists := false
	for i := range 31 * 10 { // 100 requests a second
		at.add(100 * time.Millisecond)
		for range 10 {
			now, _ := m.Request(10)
			insists = insists || now
		}
		if insists && i < 29*10 {
			t.Fatalf("closed after %d ms", i*100)
		}
	}
	if !insists {
		t.Error("not closed after 30 s")
	}
	m = l.Meter()
	for range 10 { // refused only every 6 s, so not persistently
		at.add(6 * time.Second)
		for range 301 {
			if now, _ := m.Request(10); now {
				t.Fatal("closed although the client had paused")
			}
		}
	}
	m = l.Meter()
	if _, err := m.Request(3 << 20); err != nil {
		t.Errorf("one large message: %v", err)
	}
	if _, err := m.Request(1); wait(t, err) == 0 {
		t.Error("bytes are not counted")
	}
}

// TestOff checks that 0 turns off one limit, and that enabled: false turns off all limits.
func TestOff(t *testing.T) {
	t.Parallel()
	off, _ := start(t, limit.Config{Enabled: toggle.Off}, nil)
	some, _ := start(t, limit.Config{UserMessages: limit.Quota{Number: limit.NoRate}, UserSockets: limit.NoCap, UserRunning: limit.NoCap}, nil)
	for _, l := range []*limit.Limits{off, some} {
		for range 200 {
			if err := l.Message("alice", 1); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Socket(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
			if _, err := l.Run(t.Context(), "alice"); err != nil {
				t.Fatal(err)
			}
		}
	}
	if some.Create("alice") != nil {
		t.Error("the other limits are off, too")
	}
	for range 1000 {
		m := off.Meter()
		if _, err := m.Request(1 << 20); err != nil {
			t.Fatal(err)
		}
		if errors.Join(off.Connect("a"), off.Read("a"), off.Create("a"), off.Join("a", "g"), off.State("a"), off.Request("a"), off.Deliver("a", 1<<20, 1<<20)) != nil {
			t.Fatal("a call is limited although limits are off")
		}
	}
	if off.NodeFull(1<<20) || some.NodeFull(1) {
		t.Error("a node is full")
	}
}

func TestAddressOf(t *testing.T) {
	t.Parallel()
	for remote, want := range map[string]string{
		"192.0.2.1:80":               "192.0.2.1",
		"[::ffff:192.0.2.1]:80":      "192.0.2.1",
		"[2001:db8:1:2:3:4:5:6]:80":  "2001:db8:1:2::/64",
		"[2001:db8:1:2:ffff::1]:443": "2001:db8:1:2::/64",
		"[fe80::1%eth0]:80":          "fe80::/64",
		"@":                          "@", // a Unix socket
	} {
		if got := limit.AddressOf(remote); got != want {
			t.Errorf("%s counts as %s, want %s", remote, got, want)
		}
	}
}

// TestText parses limits of the configuration, and formats them again.
func TestText(t *testing.T) {
	t.Parallel()
	type text interface {
		fmt.Stringer
		UnmarshalText(text []byte) error
	}
	for _, test := range []struct {
		into     text
		in, want string // an empty want means that in is refused
	}{
		{new(limit.Rate), "50/s, burst 200", "50/s, burst 200"},
		{new(limit.Rate), "5/min", "5/min"},
		{new(limit.Rate), " 20,000 / h burst 100,000 ", "20000/h, burst 100000"},
		{new(limit.Rate), "0", "0"},
		{new(limit.Rate), "50", ""},
		{new(limit.Rate), "-5/s", ""},
		{new(limit.Rate), "50/day", ""},
		{new(limit.Rate), "50 KiB/s", ""},
		{new(limit.Rate), "50/s, burst", ""},
		{new(limit.Rate), "99999999999999999999/s", ""},
		{new(limit.ByteRate), "256 KiB/s, burst 2 MiB", "256 KiB/s, burst 2 MiB"},
		{new(limit.ByteRate), "1000/s", "1000/s"},
		{new(limit.ByteRate), "9999999 GiB/s", ""},
		{new(limit.Quota), "10/s, burst 50; 1 MiB/s", "10/s, burst 50; 1 MiB/s"},
		{new(limit.Quota), "10/s", "10/s"},
		{new(limit.Quota), "0", "0"},
		{new(limit.Quota), "0; 1 MiB/s", "0; 1 MiB/s"},
		{new(limit.Quota), "10/s; 5/s; 6/s", ""},
		{new(limit.Cap), "50", "50"},
		{new(limit.Cap), "0", "0"},
		{new(limit.Cap), "-1", ""},
		{new(limit.Size), "64MiB", "64MiB"},
		{new(limit.Size), "1536 KiB", "1536KiB"},
		{new(limit.Size), "1000", "1000"},
		{new(limit.Size), "0", "0"},
		{new(limit.Size), "-1", ""},
		{new(limit.Size), "64 MB", ""},
		{new(limit.Size), "9999999 GiB", ""},
		{new(limit.Share), "90%", "90%"},
		{new(limit.Share), "5000", "5000"},
		{new(limit.Share), "100%", ""},
		{new(toggle.Switch), "false", "false"},
		{new(toggle.Switch), "true", "true"},
		{new(toggle.Switch), "maybe", ""},
	} {
		err := test.into.UnmarshalText([]byte(test.in))
		switch got := test.into.String(); {
		case test.want == "" && err == nil:
			t.Errorf("%T %q is accepted as %s", test.into, test.in, got)
		case test.want != "" && (err != nil || got != test.want):
			t.Errorf("%T %q is %q, %v", test.into, test.in, got, err)
		}
	}
}

// TestSet changes limits at runtime. Earlier use and open sockets must count for the new
// limits.
func TestSet(t *testing.T) {
	t.Parallel()
	l, at := start(t, limit.Config{Enabled: toggle.Off}, nil)
	meter := l.Meter()
	closed, err := l.Socket(t.Context(), "alice")
	if _, requested := meter.Request(1); errors.Join(err, requested, l.Create("alice"), l.Create("alice")) != nil {
		t.Fatal("limited although limits are off")
	}
	hourly := func(n int64) limit.Rate { return limit.Rate{Count: n, Per: time.Hour, Burst: n} }
	few := limit.Config{UserSockets: 1, UserRunning: 1, UserCreates: hourly(2), SocketRequests: hourly(1)}
	if err := l.Set(few); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Socket(t.Context(), "alice"); err == nil {
		t.Error("the socket from before does not count")
	}
	if _, err := errors.Join(l.Create("alice"), l.Create("alice")), l.Create("alice"); err == nil {
		t.Error("more creations than allowed")
	}
	_, first := meter.Request(1)
	if _, second := meter.Request(1); first != nil || second == nil {
		t.Errorf("requests of a socket from before: %v, %v", first, second)
	}
	done, err := l.Run(t.Context(), "alice")
	if err != nil {
		t.Fatal(err)
	}

	few.UserSockets, few.UserCreates, few.UserRunning = 2, hourly(3600), 2
	if err := l.Set(few); err != nil {
		t.Fatal(err)
	}
	if _, err := l.Socket(t.Context(), "alice"); err != nil {
		t.Error("two sockets:", err)
	}
	if l.Create("alice") == nil {
		t.Error("what was used before does not count")
	}
	at.add(2 * time.Second)
	if err := l.Create("alice"); err != nil {
		t.Error("the new rate is not in force:", err)
	}
	if _, err := l.Run(t.Context(), "alice"); err != nil {
		t.Error(err)
	}
	done()
	closed()
	if err := l.Set(limit.Config{UserCreates: limit.Rate{Count: 1}}); err == nil {
		t.Error("an invalid rate is accepted")
	}
}
