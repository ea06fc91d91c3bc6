//go:build linux

// Command delivery measures the cost of delivering messages with Moim and other servers, on
// one machine and in one run: processor time and latency of a delivery, memory of a
// connection, and the cost of connecting. See docs/performance.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moim-live/moim/bench/host"
	"github.com/moim-live/moim/bench/load"
	"github.com/moim-live/moim/bench/peers"
	"github.com/moim-live/moim/bench/peers/centrifuge"
	"github.com/moim-live/moim/bench/peers/moim"
	"github.com/moim-live/moim/bench/peers/naked"
	"github.com/moim-live/moim/bench/peers/socketio"
)

func main() {
	if err := start(os.Args[1:]); err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "delivery:", err)
		os.Exit(1)
	}
}

// start runs the bench, or one of the processes that the bench starts.
func start(args []string) error {
	if is, err := role(args); is {
		return err
	}
	ctx, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer release()
	return bench(ctx, args)
}

// role runs a process that the benchmark starts: the load generator or a server. It returns
// false if the arguments request none.
func role(args []string) (is bool, err error) {
	if len(args) == 0 {
		return false, nil
	}
	switch args[0] {
	case loadRole:
		return true, load.Main(os.Stdin, os.Stdout)
	case naked.Role:
		return true, naked.Serve(args[1], args[2])
	case centrifuge.Role:
		delay, err := time.ParseDuration(args[3])
		if err != nil {
			return true, err
		}
		return true, centrifuge.Serve(args[1], args[2], delay)
	}
	return false, nil
}

// options are the values of the flags.
type options struct {
	rows, peers, moim, before, env string
	turns                          int
	times                          times
}

func bench(ctx context.Context, args []string) error {
	var o options
	flags := flag.NewFlagSet("delivery", flag.ContinueOnError)
	flags.StringVar(&o.rows, "rows", "*", "which rows, by name or pattern, with commas: "+rowNames())
	flags.StringVar(&o.peers, "peers", "moim,centrifuge,socketio,naked", "which servers; also centrifuge-5ms, which gathers writes as Moim does")
	flags.StringVar(&o.moim, "moim", "", "Moim's binary (default: built from this tree)")
	flags.StringVar(&o.before, "before", "", "another build of Moim, measured as "+before+" in the same turns")
	flags.StringVar(&o.env, "moim-env", "", "more of Moim's configuration: MOIM_SOCKET_GATHER=1ms,…")
	flags.DurationVar(&o.times.warmUp, "warmup", time.Second, "how long messages flow before anything counts, in a turn; thrice as long in the first")
	flags.DurationVar(&o.times.measure, "measure", 3*time.Second, "how long is measured in a turn")
	flags.DurationVar(&o.times.settle, "settle", 15*time.Second, "how long connections idle before memory is read")
	flags.IntVar(&o.turns, "turns", 3, "how often each row is measured of each server, one after the other")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if o.turns < 1 {
		return errors.New("-turns: must be at least 1")
	}
	chosen, err := choose(o.rows)
	if err != nil {
		return err
	}
	on := host.New(ctx)
	defer on.Close()
	servers, err := o.servers(ctx, on)
	if err != nil {
		return err
	}
	t := newTable(host.Machine(), slices.DeleteFunc(slices.Clone(servers), func(p peers.Peer) bool { return p.Name() == "moim-stored" }))
	for _, r := range chosen {
		c := contest{row: r, servers: servers, times: o.times, turns: o.turns, table: t, progress: os.Stderr}
		if err := c.run(ctx); err != nil {
			return err
		}
	}
	t.print(os.Stdout)
	if t.failed > 0 {
		return fmt.Errorf("%d times a server could not be measured", t.failed)
	}
	return nil
}

// servers creates the requested servers.
func (o options) servers(ctx context.Context, on *host.Host) ([]peers.Peer, error) {
	var servers []peers.Peer
	for _, name := range strings.Split(o.peers, ",") {
		switch name {
		case "moim":
			p := &moim.Peer{Binary: o.moim}
			if o.env != "" {
				p.Env = strings.Split(o.env, ",")
			}
			dir, err := on.Dir()
			if err != nil {
				return nil, err
			}
			if err := p.Build(ctx, dir); err != nil {
				return nil, err
			}
			servers = append(servers, p, p.Stored())
			if o.before != "" {
				other := &moim.Peer{Binary: o.before, Env: p.Env, Called: before}
				if err := other.Build(ctx, dir); err != nil {
					return nil, err
				}
				servers = append(servers, other)
			}
		case "naked":
			servers = append(servers, naked.Peer{})
		case "centrifuge":
			servers = append(servers, centrifuge.Peer{})
		case "centrifuge-5ms":
			servers = append(servers, centrifuge.Peer{Delay: 5 * time.Millisecond})
		case "socketio":
			servers = append(servers, &socketio.Peer{})
		default:
			return nil, fmt.Errorf("there is no server %q", name)
		}
	}
	return servers, nil
}

func choose(patterns string) ([]row, error) {
	var chosen []row
	for _, r := range rows {
		for _, pattern := range strings.Split(patterns, ",") {
			matches, err := path.Match(strings.ReplaceAll(pattern, "/", ":"), strings.ReplaceAll(r.name, "/", ":"))
			if err != nil {
				return nil, fmt.Errorf("-rows: %q: %w", pattern, err)
			}
			if matches {
				chosen = append(chosen, r)
				break
			}
		}
	}
	if len(chosen) == 0 {
		return nil, fmt.Errorf("-rows: there is none of %q, but %s", patterns, rowNames())
	}
	return chosen, nil
}

func rowNames() string {
	names := make([]string, 0, len(rows))
	for _, r := range rows {
		names = append(names, r.name)
	}
	return strings.Join(names, " ")
}
