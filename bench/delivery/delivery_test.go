//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/moim-live/moim/bench/host"
	"github.com/moim-live/moim/bench/peers"
	"github.com/moim-live/moim/bench/peers/centrifuge"
	"github.com/moim-live/moim/bench/peers/moim"
	"github.com/moim-live/moim/bench/peers/naked"
	"github.com/moim-live/moim/bench/peers/socketio"
)

func TestMain(m *testing.M) {
	if is, err := role(os.Args[1:]); is {
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// TestDelivers runs rows of the benchmark that are too small and short to measure anything. It
// checks that posted messages arrive.
func TestDelivers(t *testing.T) {
	short := times{warmUp: 200 * time.Millisecond, measure: 700 * time.Millisecond}
	built := &moim.Peer{}
	if err := built.Build(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	small := peers.Need{Nodes: 1, Rooms: 3, Members: 4}
	polling := small
	polling.Polling = true
	tests := []struct {
		peer peers.Peer
		row  row
	}{
		{built, row{name: "signals", need: small, rate: 100}},
		{built.Stored(), row{name: "messages", need: small, rate: 100}},
		{built, row{name: "connect", kind: connecting, need: small}},
		{built, row{name: "polling", need: polling, rate: 100}},
		{built, row{name: "connect by polling", kind: connecting, need: polling}},
		{&socketio.Peer{}, row{name: "polling", need: polling, rate: 100}},
		{centrifuge.Peer{}, row{name: "one", need: small, rate: 100}},
		{naked.Peer{}, row{name: "one", need: small, rate: 100}},
		{naked.Peer{}, row{name: "polling", need: polling, rate: 100}},
		{naked.Peer{}, row{name: "two", need: peers.Need{Nodes: 2, Rooms: 3, Members: 4}, rate: 100}},
	}
	for _, test := range tests {
		t.Run(test.peer.Name()+"/"+test.row.name, func(t *testing.T) {
			t.Parallel()
			e, err := enter(t.Context(), test.peer, test.row, short)
			if errors.Is(err, host.ErrMissing) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			defer e.leave()
			var f figures
			if test.row.kind == connecting {
				f, err = e.connect(t.Context())
			} else if err = e.fill(); err == nil {
				for try := 0; try < 3 && err == nil && !f.sound(); try++ { // a busy machine may delay one
					f, err = e.turn(t.Context(), short.warmUp)
				}
			}
			if err != nil {
				t.Fatal(err)
			}
			if f.lost > 0 || f.config == "" {
				t.Errorf("figures: %+v", f)
			}
			if test.row.kind == connecting {
				if f.memory <= 0 {
					t.Errorf("memory: %d", f.memory)
				}
			} else if !f.sound() {
				t.Errorf("figures: %+v", f)
			}
		})
	}
}

// sound reports whether the posted messages arrived at about the expected rate. The median may be
// 0, because a server in this process can be faster than the first bucket of the histogram.
func (f figures) sound() bool {
	return f.lost == 0 && f.whole >= 0.3 && f.whole <= 3 && f.p99 > 0 && f.p99 >= f.p50
}

func TestTable(t *testing.T) {
	t.Parallel()
	ours, theirs := &moim.Peer{}, centrifuge.Peer{}
	table := newTable("mine", []peers.Peer{ours, theirs, naked.Peer{}})
	r := row{name: "1x10@20", rate: 20, limits: within(0.70, 0.50)}
	table.add(r, ours, figures{cost: 8 * time.Microsecond, p50: time.Millisecond, p99: 4500 * time.Microsecond, posted: 20, whole: 1, config: "defaults"})
	table.add(r, theirs, figures{cost: 10 * time.Microsecond, p50: 2 * time.Millisecond, p99: 4 * time.Millisecond, posted: 10, whole: 1})
	table.miss(r, naked.Peer{}, host.ErrMissing)
	var out strings.Builder
	table.print(&out)
	for _, want := range []string{
		"| 1x10@20 | 8.0 | 10.0 (at 50 % of the rate) | **0.80** (≤ 0.70) |  |  |\n",
		"| 1x10@20 | 1.0 / 4.5 | 2.0 / 4.0 | 1.12 (≤ 1.00 or 5 ms) |  |  |\n",
		"- moim: defaults\n",
		"- naked: not measured: not to be had here\n",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestGrowth(t *testing.T) {
	t.Parallel()
	for want, costs := range map[string][]time.Duration{
		"\ngrowth: a delivery costs 9.0, 7.0, 7.1 µs: it falls or stays (falls or stays)\n": {9000, 7000, 7100},
		"\ngrowth: a delivery costs 9.0, 7.0, 8.0 µs: it **rises** (falls or stays)\n":      {9000, 7000, 8000},
		"": {9000},
	} {
		table := newTable("mine", nil)
		for i, cost := range costs {
			table.add(row{name: fmt.Sprint("growth-", i), grows: true}, &moim.Peer{}, figures{cost: cost})
		}
		var out strings.Builder
		table.growth(&out)
		if out.String() != want {
			t.Errorf("%q, want %q", out.String(), want)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	chosen, err := choose("100x10*,connect")
	if err != nil {
		t.Fatal(err)
	}
	if len(chosen) != 3 || chosen[2].kind != connecting {
		t.Errorf("chose %+v", chosen)
	}
	if _, err := choose("none"); err == nil {
		t.Error("chose a row that there is not")
	}
}

func TestMerge(t *testing.T) {
	t.Parallel()
	turns := make([]figures, 3)
	for i, d := range []time.Duration{time.Millisecond, 2 * time.Millisecond, 6 * time.Millisecond} {
		turns[i] = figures{p99: d, lost: i}
		turns[i].spent(host.Use{"moim": d}, 100)
	}
	f := merge(turns)
	if f.cost != 30*time.Microsecond || f.units != 300 || f.p99 != 2*time.Millisecond || f.lost != 2 {
		t.Errorf("merged %+v", f)
	}
}
