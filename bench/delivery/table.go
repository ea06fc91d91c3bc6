//go:build linux

package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/moim-live/moim/bench/peers"
)

const (
	ours   = "moim"
	before = "moim-before" // another build of Moim
)

// table collects the results and prints them.
type table struct {
	machine string
	servers []peers.Peer
	rows    []row
	figures map[string]map[string]figures // by row and server
	absent  map[string][]string           // reasons, by server
	failed  int
	configs map[string][]string // by server
}

func newTable(machine string, servers []peers.Peer) *table {
	return &table{
		machine: machine, servers: servers, figures: make(map[string]map[string]figures),
		absent: make(map[string][]string), configs: make(map[string][]string),
	}
}

func (t *table) see(r row) {
	if t.figures[r.name] == nil {
		t.rows = append(t.rows, r)
		t.figures[r.name] = make(map[string]figures)
	}
}

func (t *table) add(r row, server peers.Peer, f figures) {
	t.see(r)
	t.figures[r.name][server.Name()] = f
	if !slices.Contains(t.configs[server.Name()], f.config) {
		t.configs[server.Name()] = append(t.configs[server.Name()], f.config)
	}
}

func (t *table) miss(r row, server peers.Peer, err error) {
	t.see(r)
	why := strings.ReplaceAll(err.Error(), "\n", ": ")
	if !slices.Contains(t.absent[server.Name()], why) {
		t.absent[server.Name()] = append(t.absent[server.Name()], why)
	}
}

// fail records that a row of a server could not be measured.
func (t *table) fail(r row, server peers.Peer, err error) {
	t.miss(r, server, fmt.Errorf("%s failed: %w", r.name, err))
	t.failed++
}

// aspect is one value to compare.
type aspect struct {
	title string
	of    func(row) bool
	text  func(row, figures) string
	value func(figures) float64
	// limits are Moim's limits as fractions of the peers' values.
	limits func(row) map[string]float64
	// enough is the value up to which Moim need not be better than the peer.
	enough func(peer string) float64
}

func (t *table) print(out io.Writer) {
	never := func(string) float64 { return 0 }
	delivers := func(r row) bool { return r.kind == delivering }
	connects := func(r row) bool { return r.kind == connecting }
	for _, a := range []aspect{
		{
			title: "processor time of a delivery, µs", of: delivers, enough: never,
			text:   func(r row, f figures) string { return fmt.Sprintf("%.1f", micros(f.cost)) + f.remarks(r) },
			value:  func(f figures) float64 { return micros(f.cost) },
			limits: func(r row) map[string]float64 { return r.limits },
		},
		{
			title: "latency p50 / p99, ms; ratio of p99", of: delivers,
			text:  func(_ row, f figures) string { return fmt.Sprintf("%.1f / %.1f", millis(f.p50), millis(f.p99)) },
			value: func(f figures) float64 { return millis(f.p99) },
			limits: func(r row) map[string]float64 {
				if r.limits == nil {
					return nil
				}
				return lateLimits
			},
			enough: func(peer string) float64 {
				if peer == "centrifuge" {
					return millis(lateAnyway)
				}
				return 0
			},
		},
		{
			title: "memory of an idle connection, KB: the server's ÷ connections (only what they added)", of: connects, enough: never,
			text: func(_ row, f figures) string {
				return fmt.Sprintf("%.1f (%.1f)", kilobytes(f.memory), kilobytes(f.added))
			},
			value:  func(f figures) float64 { return kilobytes(f.memory) },
			limits: func(row) map[string]float64 { return memoryLimits },
		},
		{
			title: "processor time to connect and subscribe, µs (a processor's second: so many)", of: connects, enough: never,
			text:   func(_ row, f figures) string { return fmt.Sprintf("%.0f (%.0f)", micros(f.cost), 1e6/micros(f.cost)) },
			value:  func(f figures) float64 { return micros(f.cost) },
			limits: func(row) map[string]float64 { return connectLimits },
		},
		isolationAspect,
	} {
		t.compare(out, a)
	}
	t.growth(out)
	t.alone(out)
	t.large(out)
	fmt.Fprintf(out, "\n- machine: %s\n", t.machine)
	for _, server := range t.servers {
		for _, config := range t.configs[server.Name()] {
			fmt.Fprintf(out, "- %s: %s\n", server.Name(), config)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(t.absent)) {
		for _, why := range t.absent[name] {
			fmt.Fprintf(out, "- %s: not measured: %s\n", name, why)
		}
	}
}

// compare prints a table with Moim's value and, for each peer, the peer's value and the
// ratio.
func (t *table) compare(out io.Writer, a aspect) {
	rows := slices.DeleteFunc(slices.Clone(t.rows), func(r row) bool { return !a.of(r) })
	if len(rows) == 0 {
		return
	}
	fmt.Fprintf(out, "\n| %s |", a.title)
	for _, server := range t.servers {
		fmt.Fprintf(out, " %s |", server.Name())
		if t.rivals(server) {
			fmt.Fprint(out, " Moim ÷ it |")
		}
	}
	fmt.Fprint(out, "\n| --- |")
	for _, server := range t.servers {
		fmt.Fprint(out, " ---: |")
		if t.rivals(server) {
			fmt.Fprint(out, " ---: |")
		}
	}
	for _, r := range rows {
		fmt.Fprintf(out, "\n| %s |", r.name)
		for _, server := range t.servers {
			f, ok := t.figures[r.name][server.Name()]
			text := ""
			if ok {
				text = a.text(r, f)
			}
			fmt.Fprintf(out, " %s |", text)
			if t.rivals(server) {
				fmt.Fprintf(out, " %s |", t.ratio(a, r, server.Name()))
			}
		}
	}
	fmt.Fprintln(out)
}

// rivals reports whether Moim is compared with a server.
func (t *table) rivals(server peers.Peer) bool {
	return server.Name() != ours && slices.ContainsFunc(t.servers, func(p peers.Peer) bool { return p.Name() == ours })
}

// ratio formats the ratio to a peer's value, and its limit.
func (t *table) ratio(a aspect, r row, peer string) string {
	own, ok := t.figures[r.name][ours]
	other, also := t.figures[r.name][peer]
	if !ok || !also || a.value(other) <= 0 {
		return ""
	}
	part := a.value(own) / a.value(other)
	limit, limited := a.limits(r)[peer]
	if !limited {
		return fmt.Sprintf("%.2f", part)
	}
	wanted := fmt.Sprintf("≤ %.2f", limit)
	if enough := a.enough(peer); enough > 0 {
		wanted += fmt.Sprintf(" or %.0f ms", enough)
	}
	if part > limit && a.value(own) > a.enough(peer) {
		return fmt.Sprintf("**%.2f** (%s)", part, wanted)
	}
	return fmt.Sprintf("%.2f (%s)", part, wanted)
}

// growth prints whether a delivery costs the same as a room grows.
func (t *table) growth(out io.Writer) {
	var costs []string
	last, verdict := 0.0, "it falls or stays"
	for _, r := range t.rows {
		f, ok := t.figures[r.name][ours]
		if !ok || !r.grows {
			continue
		}
		cost := micros(f.cost)
		if last > 0 && cost > growthSlack*last {
			verdict = "it **rises**"
		}
		costs, last = append(costs, fmt.Sprintf("%.1f", cost)), cost
	}
	if len(costs) > 1 {
		fmt.Fprintf(out, "\ngrowth: a delivery costs %s µs: %s (falls or stays)\n", strings.Join(costs, ", "), verdict)
	}
}

// alone prints the values that are not compared.
func (t *table) alone(out io.Writer) {
	for _, r := range t.rows {
		f, ok := t.figures[r.name][ours]
		if !ok {
			continue
		}
		if stored, ok := t.figures[r.name]["moim-stored"]; ok {
			fmt.Fprintf(out, "\n%s: %.1f µs of processor time a delivery%s, of a signal %.1f%s: %.2f of it (≤ %.2f)\n",
				r.name, micros(stored.cost), stored.remarks(r), micros(f.cost), f.remarks(r), micros(stored.cost)/micros(f.cost), storedLimit)
		}
		if r.kind == idling {
			fmt.Fprintf(out, "\n%s: a node without sockets received %.1f messages of the others a second (0), who delivered %.0f; it read %.0f bytes a second in all\n",
				r.name, f.received, f.delivered, f.read)
		}
	}
}
