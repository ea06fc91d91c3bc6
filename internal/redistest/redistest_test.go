package redistest_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/redis/go-redis/v9"

	"github.com/moim-live/moim/internal/redistest"
)

func TestServerAnswersAndRestartsEmpty(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	ctx, c := t.Context(), s.Client()
	if err := c.Set(ctx, "k", "v", 0).Err(); err != nil {
		t.Fatal(err)
	}
	addr := s.Addr()
	s.Kill()
	s.Kill()
	if err := c.Ping(ctx).Err(); err == nil {
		t.Fatal("a killed server answered")
	}
	s.Restart()
	if s.Addr() != addr {
		t.Fatalf("the server restarted on %s, want %s", s.Addr(), addr)
	}
	if err := c.Get(ctx, "k").Err(); !errors.Is(err, redis.Nil) {
		t.Fatalf("the restarted server has data: %v", err)
	}
}

func TestServerAsksForWhatItWasToldTo(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string][]redistest.Option{
		"password":     {redistest.WithPassword("secret")},
		"user":         {redistest.WithUser("moim", "secret")},
		"tls":          {redistest.WithTLS()},
		"tls and user": {redistest.WithTLS(), redistest.WithUser("moim", "secret", "~*", "&*", "+@all")},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := redistest.Start(t, opts...)
			m := s.Monitor()
			if err := s.Client().Set(t.Context(), "k", "v", 0).Err(); err != nil {
				t.Fatal(err)
			}
			if !slices.ContainsFunc(m.Commands(), func(c redistest.Command) bool { return c.Is("SET") }) {
				t.Fatal("the monitor missed a command")
			}
			bare := redis.NewClient(&redis.Options{Addr: s.Addr(), DialerRetries: 1, MaxRetries: -1})
			defer bare.Close()
			if err := bare.Ping(t.Context()).Err(); err == nil {
				t.Fatal("a client without the required credentials was accepted")
			}
		})
	}
}

func TestMonitorKeepsArguments(t *testing.T) {
	t.Parallel()
	s := redistest.Start(t)
	m := s.Monitor()
	args := []string{"set", "a b", "quote\" back\\ \x00\xff\n] [", "EX", "100"}
	if err := s.Client().Do(t.Context(), args[0], args[1], args[2], args[3], args[4]).Err(); err != nil {
		t.Fatal(err)
	}
	for _, c := range m.Commands() {
		if c.Is("set") {
			if diff := cmp.Diff(args, c.Args); diff != "" {
				t.Fatal(diff)
			}
			return
		}
	}
	t.Fatal("the command was not recorded")
}
