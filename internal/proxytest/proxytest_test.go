package proxytest_test

import (
	"bufio"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"testing"
	"time"

	"github.com/moim-live/moim/internal/childtest"
	"github.com/moim-live/moim/internal/proxytest"
)

func TestMain(m *testing.M) { childtest.VerifyMain(m) }

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
	long  = 30 * time.Second
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
	if c, err := net.Dial("tcp", p.Addr()); err == nil { // unless the reset was faster than the answer to connect
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

func TestDelay(t *testing.T) {
	p := proxytest.Start(t, echo(t))
	c := dial(t, p)
	const late = 60 * time.Millisecond
	p.Delay(late)
	began := time.Now()
	for range 3 { // all are in transit at once
		if _, err := io.WriteString(c, "one\n"); err != nil {
			t.Fatal(err)
		}
	}
	for range 3 {
		if _, err := c.hear(long); err != nil {
			t.Fatal(err)
		}
	}
	if took := time.Since(began); took < 2*late || took > 2*late+long {
		t.Errorf("there and back took %s with %s each way", took, late)
	}
	p.Heal()
	if _, err := c.say("two", long); err != nil {
		t.Fatal(err)
	}
}

func TestLoseOneWay(t *testing.T) {
	for way, name := range map[proxytest.Way]string{proxytest.ToServer: "to the server", proxytest.ToClient: "to the client"} {
		t.Run(name, func(t *testing.T) {
			arrived := make(chan string, 4)
			p := proxytest.Start(t, recorder(t, arrived))
			c := dial(t, p)
			if _, err := c.say("one", long); err != nil {
				t.Fatal(err)
			}
			<-arrived
			p.Lose(way)
			// Wait until the line has reached the place where it is lost.
			if _, err := c.say("two", 3*time.Second); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("a lost line was answered: %v", err)
			}
			select {
			case <-arrived:
				if way == proxytest.ToServer {
					t.Error("a lost line arrived")
				}
			case <-time.After(map[proxytest.Way]time.Duration{proxytest.ToServer: short, proxytest.ToClient: long}[way]):
				if way == proxytest.ToClient {
					t.Error("a line that was not lost did not arrive")
				}
			}
			p.Heal()
			if _, err := c.hear(long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("a link that has lost bytes still works: %v", err)
			}
			if got, err := dial(t, p).say("three", long); err != nil || got != "three\n" {
				t.Fatal(got, err)
			}
		})
	}
}

// recorder echoes lines and records the lines that arrived.
func recorder(t *testing.T, arrived chan<- string) string {
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
				for lines := bufio.NewScanner(c); lines.Scan(); {
					arrived <- lines.Text()
					if _, err := io.WriteString(c, lines.Text()+"\n"); err != nil {
						return
					}
				}
			}()
		}
	}()
	return l.Addr().String()
}

func TestStrandedClientsAreNotTold(t *testing.T) {
	p := proxytest.Start(t, echo(t))
	c := dial(t, p)
	if _, err := c.say("one", long); err != nil {
		t.Fatal(err)
	}
	p.Strand()
	for range 3 {
		if _, err := c.say("two", short); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("a stranded link: %v", err)
		}
	}
	if got, err := dial(t, p).say("three", long); err != nil || got != "three\n" {
		t.Fatal(got, err)
	}
	p.Heal()
	if _, err := c.hear(short); err == nil {
		t.Error("a stranded link answers")
	}
}

func TestGoroutinesAreThoseOfOthers(t *testing.T) {
	before := proxytest.Goroutines()
	proxytest.Start(t, "127.0.0.1:1")
	// Goroutines of other tests may end meanwhile, and new goroutines are not counted until they
	// run.
	for deadline := time.Now().Add(long); ; runtime.Gosched() {
		n := proxytest.Goroutines()
		if n <= before {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("%d goroutines with a proxy, %d without", n, before)
		}
	}
	hold := make(chan struct{})
	most := proxytest.MostGoroutines(func() {
		for range 10 {
			go func() { <-hold }()
		}
		<-time.After(10 * short)
		close(hold)
	})
	if most < 10 {
		t.Errorf("%d goroutines, of at least 10", most)
	}
}
