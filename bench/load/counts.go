//go:build linux

package load

func (l *loop) reset() { l.latencies, l.readyCount = histogram{}, 0 }

func (l *loop) counts() Counts {
	return Counts{
		Subscribed: l.readyCount, Away: l.away(),
		Messages: l.latencies.total,
		P50:      l.latencies.quantile(0.50),
		P99:      l.latencies.quantile(0.99),
		Lost:     l.lost,
	}
}

// away is how many clients are not subscribed.
func (l *loop) away() int {
	n := 0
	for _, c := range l.conns {
		if c.phase != ready {
			n++
		}
	}
	return n
}
