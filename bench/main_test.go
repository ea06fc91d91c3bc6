package main

import (
	"io"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	t.Parallel()
	const in = `goos: linux
BenchmarkPost/sqlite-2         	      10	      1000 bare-ops/s	      4000 bare-p50-µs	      8000 bare-p99-µs	      2500 moim-ops/s	      1250 moim-p50-µs	      2460 moim-p99-µs	         2.500 ratio         100 moim-cpu-µs         250 bare-cpu-µs
BenchmarkOther-2   	 100	  12 ns/op
PASS
`
	const want = "| Post | sqlite | 2500 | bare 1000 | 2.50 | 100 (250) | 1.2 / 2.5 | 4.0 / 8.0 |\n"
	var out, progress strings.Builder
	if err := run(strings.NewReader(in), &out, &progress); err != nil {
		t.Fatal(err)
	}
	if !strings.HasSuffix(out.String(), "---: |\n"+want) {
		t.Errorf("printed\n%s\nwant at its end\n%s", out.String(), want)
	}
	if progress.String() != in {
		t.Errorf("progress:\n%s", progress.String())
	}
	if err := run(strings.NewReader("--- FAIL: BenchmarkPost\nFAIL\n"), io.Discard, io.Discard); err == nil {
		t.Error("a failed run made a table")
	}
}
