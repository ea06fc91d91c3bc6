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

// contest measures one row of all servers, by turns: what else the machine
// does meets all of them alike.
type contest struct {
	row      row
	servers  []peers.Peer
	times    times
	turns    int
	table    *table
	progress io.Writer
}

// run returns an error only when ctx ends: the table has what could not be
// measured.
func (c *contest) run(ctx context.Context) error {
	done := make(map[string][]figures)
	entrants := make(map[string]*entrant)
	defer func() {
		for _, e := range entrants {
			e.leave()
		}
	}()
	out := make(map[string]bool) // who cannot be measured
	for turn := range c.turns {
		for i := range c.servers {
			server := c.servers[(i+turn)%len(c.servers)] // nobody is always the first
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

// giveUp notes that a server cannot be measured.
func (c *contest) giveUp(server peers.Peer, err error) {
	fmt.Fprintf(c.progress, "%-17s %-10s not measured: %v\n", c.row.name, server.Name(), err)
	if errors.Is(err, host.ErrMissing) {
		c.table.miss(c.row, server, err)
	} else {
		c.table.fail(c.row, server, err)
	}
}

// turn measures a server once. It connects anew where connecting is what is
// measured; else the server and its connections stay for the next turn.
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
		warmUp *= 3 // code and caches are cold
	}
	return e.turn(ctx, warmUp)
}
