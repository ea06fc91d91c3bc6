package proxytest_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/moim-live/moim/internal/proxytest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers every line with itself.
func echo(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer c.Close()
				_, _ = io.Copy(c, c)
			}()
		}
	}()
	return l.Addr().String()
}

type client struct {
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, p *proxytest.Proxy) client {
	t.Helper()
	c, err := net.Dial("tcp", p.Addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return client{c, bufio.NewReader(c)}
}

// say sends a line and returns the answer within a time.
func (c client) say(line string, within time.Duration) (string, error) {
	if _, err := io.WriteString(c, line+"\n"); err != nil {
		return "", err
	}
	return c.hear(within)
}

func (c client) hear(within time.Duration) (string, error) {
	_ = c.SetReadDeadline(time.Now().Add(within))
	return c.r.ReadString('\n')
}

const (
	long  = 5 * time.Second
	short = 30 * time.Millisecond
)

func TestCutAndHeal(t *testing.T) {
	p := proxytest.Start(t, echo(t))
	c := dial(t, p)
	if got, err := c.say("one", long); err != nil || got != "one\n" {
		t.Fatal(got, err)
	}
	p.Cut()
	if _, err := c.hear(long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a cut link: %v", err)
	}
	if c, err := net.Dial("tcp", p.Addr()); err == nil { // or the reset was faster than the answer to connect
		defer c.Close()
		if _, err := (client{c, bufio.NewReader(c)}).say("two", long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a new link while cut: %v", err)
		}
	}
	p.Heal()
	if got, err := dial(t, p).say("three", long); err != nil || got != "three\n" {
		t.Fatal(got, err)
	}
	if got := p.Accepted(); got != 3 {
		t.Fatalf("accepted %d links, want 3", got)
	}
}

func TestFreezeHoldsBytes(t *testing.T) {
	p := proxytest.Start(t, echo(t))
	old := dial(t, p)
	if _, err := old.say("one", long); err != nil {
		t.Fatal(err)
	}
	p.Freeze()
	fresh := dial(t, p)
	for _, c := range []client{old, fresh} {
		if _, err := c.say("two", short); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a frozen link: %v", err)
		}
	}
	p.Heal()
	for _, c := range []client{old, fresh} {
		if got, err := c.hear(long); err != nil || got != "two\n" {
			t.Fatal(got, err)
		}
	}
}

func TestDropLetsClientsComeBack(t *testing.T) {
	p := proxytest.Start(t, echo(t))
	c := dial(t, p)
	if _, err := c.say("one", long); err != nil {
		t.Fatal(err)
	}
	p.Drop()
	if _, err := c.hear(long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a dropped link: %v", err)
	}
	if _, err := dial(t, p).say("two", long); err != nil {
		t.Fatal(err)
	}
}
