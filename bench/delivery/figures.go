//go:build linux

package main

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moim-live/moim/bench/host"
)

// figures are the results of one server in one row.
type figures struct {
	use       host.Use
	units     int64         // number of deliveries or connections
	cost      time.Duration // processor time of a delivery, or of connecting and subscribing
	p50, p99  time.Duration
	delivered float64 // per second
	posted    float64 // per second
	whole     float64 // part of the expected deliveries that arrived
	lost      int     // connections that the server closed
	memory    int64   // bytes per connection: the memory of the whole server, divided by connections
	added     int64   // the same, without the memory before the connections
	received  float64 // messages of other nodes per second at the idle node
	read      float64 // bytes per second that the idle node reads
	beside    *beside // results for a busy large room
	config    string
}

// spent records the use for a number of deliveries or connections.
func (f *figures) spent(use host.Use, units int64) {
	f.use, f.units, f.cost = use, units, use.Total()/time.Duration(units)
}

// merge merges several turns: the sum of processor times, and the median of all other
// values.
func merge(turns []figures) figures {
	f := figures{config: turns[0].config, lost: turns[len(turns)-1].lost}
	use, units := make(host.Use), int64(0)
	for _, turn := range turns {
		units += turn.units
		for name, used := range turn.use {
			use[name] += used
		}
	}
	f.spent(use, units)
	f.p50 = middle(turns, func(f figures) time.Duration { return f.p50 })
	f.p99 = middle(turns, func(f figures) time.Duration { return f.p99 })
	f.delivered = middle(turns, func(f figures) float64 { return f.delivered })
	f.posted = middle(turns, func(f figures) float64 { return f.posted })
	f.whole = middle(turns, func(f figures) float64 { return f.whole })
	f.memory = middle(turns, func(f figures) int64 { return f.memory })
	f.added = middle(turns, func(f figures) int64 { return f.added })
	f.received = middle(turns, func(f figures) float64 { return f.received })
	f.read = middle(turns, func(f figures) float64 { return f.read })
	if turns[0].beside != nil {
		f.beside = mergeBeside(turns)
	}
	return f
}

func middle[T cmp.Ordered](turns []figures, of func(figures) T) T {
	values := make([]T, 0, len(turns))
	for _, f := range turns {
		values = append(values, of(f))
	}
	slices.Sort(values)
	return values[len(values)/2]
}

// remarks says how much of the row's load a server accepted and delivered, if it is less
// than all.
func (f figures) remarks(r row) string {
	var remarks []string
	if took := f.posted / float64(r.rate); r.kind != connecting && took < 0.97 {
		remarks = append(remarks, fmt.Sprintf("at %.0f %% of the rate", 100*took))
	}
	if r.kind != connecting && f.whole < 0.97 {
		remarks = append(remarks, fmt.Sprintf("%.0f %% delivered", 100*f.whole))
	}
	if f.lost > 0 {
		remarks = append(remarks, fmt.Sprintf("%d connections closed", f.lost))
	}
	if len(remarks) == 0 {
		return ""
	}
	return " (" + strings.Join(remarks, ", ") + ")"
}

// tell describes the figures in one line.
func (f figures) tell(r row) string {
	var text string
	switch r.kind {
	case connecting:
		text = fmt.Sprintf("%.0f µs to connect and subscribe, %.1f KB a connection (%.1f added)", micros(f.cost), kilobytes(f.memory), kilobytes(f.added)) + f.remarks(r)
	case isolating:
		text = isolationAspect.text(r, f) + "; " + f.tellLarge(r)
	default:
		text = fmt.Sprintf("%.2f µs a delivery, p50 %.1f ms, p99 %.1f ms, %.0f posts/s", micros(f.cost), millis(f.p50), millis(f.p99), f.posted) + f.remarks(r)
	}
	if parts := f.use.Parts(); parts != "" {
		text += "; " + parts
	}
	return text
}

func micros(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
func kilobytes(bytes int64) float64  { return float64(bytes) / 1024 }
