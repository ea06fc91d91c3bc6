// Command bench reads the output of go test -bench, copies it to standard error, and
// finally prints a Markdown table of the comparisons. Each package below it measures one
// thing; they share package measure.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
)

func main() {
	if err := run(os.Stdin, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// row is one benchmark of package measure.
type row struct {
	operation, on, peer string
	values              map[string]float64 // by unit
}

func run(in io.Reader, out, progress io.Writer) error {
	var (
		rows   []row
		failed bool
	)
	lines := bufio.NewScanner(in)
	for lines.Scan() {
		line := lines.Text()
		fmt.Fprintln(progress, line)
		if r, ok := parse(line); ok {
			rows = append(rows, r)
		}
		failed = failed || strings.HasPrefix(line, "FAIL") || strings.HasPrefix(line, "--- FAIL")
	}
	if err := lines.Err(); err != nil {
		return err
	}
	if failed {
		return fmt.Errorf("a benchmark failed")
	}
	fmt.Fprintf(out, "\n| operation | on | Moim, ops/s | peer, ops/s | ratio | CPU of an operation, µs | Moim p50 / p99, ms | peer p50 / p99, ms |\n")
	fmt.Fprintf(out, "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: |\n")
	for _, r := range rows {
		fmt.Fprintf(out, "| %s | %s | %.0f | %s %.0f | %.2f | %.0f (%.0f) | %s | %s |\n", r.operation, r.on,
			r.values["moim-ops/s"], r.peer, r.values[r.peer+"-ops/s"], r.values["ratio"],
			r.values["moim-cpu-µs"], r.values[r.peer+"-cpu-µs"], r.times("moim"), r.times(r.peer))
	}
	return nil
}

func (r row) times(side string) string {
	return fmt.Sprintf("%.1f / %.1f", r.values[side+"-p50-µs"]/1000, r.values[side+"-p99-µs"]/1000)
}

// parse reads a line like
//
//	BenchmarkPost/sqlite-2   10   1234 moim-ops/s   1000 bare-ops/s   1.23 ratio
func parse(line string) (row, bool) {
	fields := strings.Fields(line)
	if len(fields) < 4 || !strings.HasPrefix(fields[0], "Benchmark") {
		return row{}, false
	}
	name := strings.TrimPrefix(fields[0], "Benchmark")
	if i := strings.LastIndexByte(name, '-'); i > 0 {
		name = name[:i] // the number of processors
	}
	r := row{values: make(map[string]float64)}
	r.operation, r.on, _ = strings.Cut(name, "/")
	for i := 2; i+1 < len(fields); i += 2 {
		v, err := strconv.ParseFloat(fields[i], 64)
		if err != nil {
			return row{}, false
		}
		unit := fields[i+1]
		r.values[unit] = v
		if side, ok := strings.CutSuffix(unit, "-ops/s"); ok && side != "moim" {
			r.peer = side
		}
	}
	return r, r.peer != ""
}
