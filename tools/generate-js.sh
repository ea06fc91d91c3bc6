#!/usr/bin/env bash
# Writes client/js/src/generated from the API of ./moim.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

dir="$(mktemp -d)"
./moim serve --data-dir "$dir" --http-addr 127.0.0.1:18999 >"$dir/log" 2>&1 &
node=$!
trap 'kill $node; wait $node 2>/dev/null; rm -rf "$dir"' EXIT
until curl -sf http://127.0.0.1:18999/readyz >/dev/null; do
  kill -0 $node 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
  sleep 0.1
done
npm --prefix client/js run --silent generate -- http://127.0.0.1:18999
