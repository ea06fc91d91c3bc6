//go:build linux

package main

import (
	"fmt"
	"io"
)

// saturated is the load of the machine above which waiting for a processor hides how groups
// affect each other.
const saturated = 0.9

// isolationAspect compares how a busy large room affects small ones.
var isolationAspect = aspect{
	title: fmt.Sprintf("latency in small groups, p50 / p99, ms: alone; beside a large group; p99 added (≤ %.1f)", millis(isolationLimit)),
	of:    func(r row) bool { return r.kind == isolating },
	text: func(r row, f figures) string {
		added := fmt.Sprintf("%+.1f", millis(f.added99()))
		if f.added99() > isolationLimit {
			added = "**" + added + "**"
		}
		if f.beside.machine > saturated {
			added += fmt.Sprintf(" (machine %.0f %% busy)", 100*f.beside.machine)
		}
		quiet := f.beside.quiet
		return fmt.Sprintf("%.1f / %.1f%s; %.1f / %.1f%s; %s", millis(quiet.p50), millis(quiet.p99), quiet.remarks(r),
			millis(f.p50), millis(f.p99), f.remarks(r), added)
	},
	value:  func(f figures) float64 { return millis(f.p99) },
	limits: func(row) map[string]float64 { return nil },
	enough: func(string) float64 { return 0 },
}

// tellLarge describes the large room and the load of the machine.
func (f figures) tellLarge(r row) string {
	b, churn := f.beside, r.large.churn
	inLarge := r
	inLarge.rate = r.large.rate
	return fmt.Sprintf("%d sockets got %.0f messages a second%s, p50 %.1f ms, p99 %.1f ms; %.0f came back each second (%d), %.0f were away; "+
		"the server kept %.2f processors busy, the machine was %.0f %% busy",
		r.need.Large, b.large.posted, b.large.remarks(inLarge), millis(b.large.p50), millis(b.large.p99),
		b.returned, churn.Reconnects+churn.Resubscribes, b.away, b.processors, 100*b.machine)
}

// large prints a line for each large room.
func (t *table) large(out io.Writer) {
	for _, r := range t.rows {
		for _, server := range t.servers {
			if f, ok := t.figures[r.name][server.Name()]; ok && f.beside != nil {
				fmt.Fprintf(out, "\n%s, the large group of %s: %s\n", r.name, server.Name(), f.tellLarge(r))
			}
		}
	}
}
