#!/usr/bin/env bash
# Prints how large the product's code is: without tests, suites, test tools,
# examples and the bench. Fails if one of its files has more than 400 lines.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

git ls-files '*.go' |
  grep -Ev '(_test\.go$|^(bench|tools|examples)/|^internal/(childtest|e2e|pgtest|proxytest|redistest)/|[a-z]+test/)' |
  xargs wc -l |
  awk '
    $2 == "total" { next }
    {
      lines = $1; file = $2; folder = file
      if (!sub(/\/[^\/]*$/, "", folder)) folder = "."
      total += lines; packages[folder] += lines
      if (lines > 400) { printf "%s has %d lines: split it, a file has at most 400\n", file, lines; failed = 1 }
      if (lines > longest) { longest = lines; where = file }
    }
    END {
      for (folder in packages) if (packages[folder] > most) { most = packages[folder]; largest = folder }
      printf "product code: %d lines; largest package: %s, %d; longest file: %s, %d\n", total, largest, most, where, longest
      exit failed
    }'
