package console

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// The size of a plot, in its own units.
const plotWidth, plotHeight = 300.0, 60.0

// plot is a curve over the last 15 minutes.
type plot struct {
	Title   string
	Points  string // for an SVG polyline
	Now     string
	Highest string
}

// plots returns one plot for each number of the samples.
func plots(samples []Sample, now time.Time) []plot {
	curves := []struct {
		title, unit string
		of          func(Sample) float64
	}{
		{"Events a second", "", func(s Sample) float64 { return s.Events }},
		{"Deliveries a second", "", func(s Sample) float64 { return s.Deliveries }},
		{"Lateness, 99 %", " ms", func(s Sample) float64 { return s.Lateness }},
		{"Sockets", "", func(s Sample) float64 { return float64(s.Sockets) }},
		{"Processors", "", func(s Sample) float64 { return s.CPU }},
		{"Memory", " MiB", func(s Sample) float64 { return float64(s.Memory) / (1 << 20) }},
	}
	drawn := make([]plot, 0, len(curves))
	for _, c := range curves {
		drawn = append(drawn, draw(c.title, c.unit, samples, c.of, now))
	}
	return drawn
}

func draw(title, unit string, samples []Sample, of func(Sample) float64, now time.Time) plot {
	p := plot{Title: title, Now: "0" + unit, Highest: "0" + unit}
	if len(samples) == 0 {
		return p
	}
	highest := 0.0
	for _, s := range samples {
		highest = max(highest, of(s))
	}
	span := (maxSamples * sampleEvery).Seconds()
	var points strings.Builder
	for _, s := range samples {
		x := plotWidth * (1 - float64(now.Unix()-s.At)/span)
		if x < 0 {
			continue
		}
		y := plotHeight
		if highest > 0 {
			y *= 1 - of(s)/highest
		}
		fmt.Fprintf(&points, "%.1f,%.1f ", min(x, plotWidth), y)
	}
	p.Points = strings.TrimSpace(points.String())
	p.Now, p.Highest = number(of(samples[len(samples)-1]))+unit, number(highest)+unit
	return p
}

// number formats a number for people. Only small numbers have decimals.
func number(x float64) string {
	switch {
	case x >= 100 || x == math.Trunc(x):
		return strconv.FormatFloat(x, 'f', 0, 64)
	case x >= 10:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}
