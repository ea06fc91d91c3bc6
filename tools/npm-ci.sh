#!/usr/bin/env bash
# Installs the npm packages of a folder, where these versions are not there yet. The end-to-end tests do the same.
set -euo pipefail
cd "$1"
if ! cmp -s package-lock.json node_modules/.installed-lock; then
  npm ci --no-audit --no-fund --ignore-scripts --loglevel=error
  cp package-lock.json node_modules/.installed-lock
fi
