#!/usr/bin/env bash
# Installs what the tests start for themselves, where it is missing:
# redis-server, PostgreSQL 15, PgBouncer, nginx and Chromium. As root on Debian by apt; anywhere
# else it says what is missing, and the tests that need it are skipped (or
# fail, where CI is set).
set -euo pipefail

packages=()
command -v redis-server >/dev/null || packages+=(redis-server)
if ! compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && ! command -v postgres >/dev/null; then
  packages+=(postgresql-15)
fi
[ -x /usr/sbin/pgbouncer ] || command -v pgbouncer >/dev/null || packages+=(pgbouncer)
if [ ! -x /usr/lib/chromium/chromium-headless-shell ] && ! command -v chromium google-chrome >/dev/null; then
  packages+=(chromium-headless-shell)
fi
[ -x /usr/sbin/nginx ] || command -v nginx >/dev/null || packages+=(nginx-light)
[ ${#packages[@]} -gt 0 ] || exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
  echo "not installed: ${packages[*]}; the tests that need them are skipped" >&2
  exit 0
fi

export DEBIAN_FRONTEND=noninteractive
# The tests run servers of their own, on ports and in folders of their own: no
# package is to start one, or to make a database cluster, by itself.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
install -d /etc/postgresql-common/createcluster.d
echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.d/moim-tests.conf

apt-get update -qq
apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
