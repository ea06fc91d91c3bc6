//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/moim-live/moim/bench/host"
	"github.com/moim-live/moim/bench/peers"
)

// contest measures one row for all servers, in turns, so that other load on the machine
// affects all of them equally.
type contest struct {
	row      row
	servers  []peers.Peer
	times    times
	turns    int
	table    *table
	progress io.Writer
}

// run returns an error only if ctx ends. The table records servers that could not be
// measured.
func (c *contest) run(ctx context.Context) error {
	done := make(map[string][]figures)
	entrants := make(map[string]*entrant)
	defer func() {
		for _, e := range entrants {
			e.leave()
		}
	}()
	out := make(map[string]bool) // servers that cannot be measured
	for turn := range c.turns {
		for i := range c.servers {
			server := c.servers[(i+turn)%len(c.servers)] // no server is always the first
			name := server.Name()
			if !c.row.has(name) || out[name] {
				continue
			}
			f, err := c.turn(ctx, server, entrants)
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				out[name] = true
				c.giveUp(server, err)
				continue
			}
			done[name] = append(done[name], f)
			fmt.Fprintf(c.progress, "%-17s %-10s %s\n", c.row.name, name, f.tell(c.row))
		}
	}
	for _, server := range c.servers {
		if turns := done[server.Name()]; len(turns) > 0 && !out[server.Name()] {
			c.table.add(c.row, server, merge(turns))
		}
	}
	return nil
}

// giveUp records that a server cannot be measured.
func (c *contest) giveUp(server peers.Peer, err error) {
	fmt.Fprintf(c.progress, "%-17s %-10s not measured: %v\n", c.row.name, server.Name(), err)
	if errors.Is(err, host.ErrMissing) {
		c.table.miss(c.row, server, err)
	} else {
		c.table.fail(c.row, server, err)
	}
}

// turn measures a server once. If the row measures connecting, it opens new connections.
// Otherwise the server and its connections stay for the next turn.
func (c *contest) turn(ctx context.Context, server peers.Peer, entrants map[string]*entrant) (figures, error) {
	if c.row.kind == connecting {
		e, err := enter(ctx, server, c.row, c.times)
		if err != nil {
			return figures{}, err
		}
		defer e.leave()
		return e.connect(ctx)
	}
	e, warmUp := entrants[server.Name()], c.times.warmUp
	if e == nil {
		var err error
		if e, err = enter(ctx, server, c.row, c.times); err != nil {
			return figures{}, err
		}
		entrants[server.Name()] = e
		if err = e.fill(); err != nil {
			return figures{}, err
		}
		warmUp *= 3 // code and caches are still cold
	}
	return e.turn(ctx, warmUp)
}
