package console

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/moim-live/moim/modules/auth"
	"github.com/moim-live/moim/modules/group"
)

// nodesWithin limits the time that nodes have to answer.
const nodesWithin = time.Second

// Dependency is a server that a node needs, or a limit that it may reach. It is a check of
// /readyz.
type Dependency struct {
	Name         string  `json:"name"`
	Where        string  `json:"where,omitempty"` // for a Redis role: the server, without credentials
	Phase        string  `json:"phase,omitempty"` // for a Redis role: the phase of its last move
	Up           bool    `json:"up"`
	Required     bool    `json:"required"`
	Milliseconds float64 `json:"ms"` // duration of the check
	Error        string  `json:"error,omitempty"`
}

// Details are the parts of a node's report that GET /v1/nodes does not show.
type Details struct {
	Samples      []Sample     `json:"samples"`
	Dependencies []Dependency `json:"dependencies"`
}

// Node is a node's report for the console.
type Node struct {
	ID              string  `json:"id"`
	Version         string  `json:"version"`
	URL             string  `json:"url"`
	Uptime          int64   `json:"uptime"`
	Sockets         int     `json:"sockets"`
	Groups          int     `json:"groups"`
	EventsPerSecond float64 `json:"eventsPerSecond"`
	Lateness        float64 `json:"lateness"`
	CPU             float64 `json:"cpu"`
	Memory          int64   `json:"memory"`
	Details
}

// Name returns the name of the node for people.
func (n Node) Name() string { return cmp.Or(n.URL, n.ID) }

// Deliveries returns the number of frames per second that the node writes to sockets.
func (n Node) Deliveries() float64 {
	if len(n.Samples) == 0 {
		return 0
	}
	return n.Samples[len(n.Samples)-1].Deliveries
}

// overviewPage is the data of the view Overview.
type overviewPage struct {
	Nodes   []Node
	Total   Node // of all nodes
	Missing []string
	Chosen  string // node whose curves are shown; empty for all
	Plots   []plot
}

// overview shows the state of the nodes, now and in the last 15 minutes.
func (c *Console) overview(ctx context.Context, v visit) (any, error) {
	if err := group.BackEndMay(v.caller, auth.ReadNodes); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, nodesWithin)
	defer cancel()
	var page overviewPage
	var reports []json.RawMessage
	reports, page.Missing = c.deps.Nodes.NodesInDetail(ctx)
	for _, data := range reports {
		var n Node
		if json.Unmarshal(data, &n) != nil {
			continue
		}
		slices.SortFunc(n.Dependencies, func(a, b Dependency) int { return cmp.Compare(a.Name, b.Name) })
		page.Nodes = append(page.Nodes, n)
		page.Total.Sockets += n.Sockets
		page.Total.EventsPerSecond += n.EventsPerSecond
		page.Total.CPU += n.CPU
		page.Total.Memory += n.Memory
		page.Total.Lateness = max(page.Total.Lateness, n.Lateness)
	}
	slices.SortFunc(page.Nodes, func(a, b Node) int { return cmp.Compare(a.Name(), b.Name()) })
	var shown []Node
	for _, n := range page.Nodes {
		if n.ID == v.query("node") {
			page.Chosen, shown = n.Name(), []Node{n}
		}
	}
	if page.Chosen == "" {
		shown = page.Nodes
	}
	together := sum(shown)
	page.Total.Samples = sum(page.Nodes)
	page.Plots = plots(together, time.Now())
	return page, nil
}

// sum adds the samples of several nodes. Their clocks and sample times differ, so samples
// are added by interval.
func sum(nodes []Node) []Sample {
	intervals := make(map[int64]*Sample)
	for _, n := range nodes {
		seen := make(map[int64]bool) // two samples may be in one interval
		for _, s := range n.Samples {
			at := s.At - s.At%int64(sampleEvery.Seconds())
			if seen[at] {
				continue
			}
			seen[at] = true
			all := intervals[at]
			if all == nil {
				all = &Sample{At: at}
				intervals[at] = all
			}
			all.Sockets += s.Sockets
			all.Events += s.Events
			all.Deliveries += s.Deliveries
			all.Lateness = max(all.Lateness, s.Lateness)
			all.CPU += s.CPU
			all.Memory += s.Memory
		}
	}
	samples := make([]Sample, 0, len(intervals))
	for _, s := range intervals {
		samples = append(samples, *s)
	}
	slices.SortFunc(samples, func(a, b Sample) int { return cmp.Compare(a.At, b.At) })
	return samples
}
