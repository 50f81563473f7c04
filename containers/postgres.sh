#!/usr/bin/env bash
# Makes sure that there is a PostgreSQL for the tests of the journal. Silent and quick where there is one.
#
# PLUMB_INSTALL_POSTGRES=0  changes nothing on this machine: those tests are skipped then
set -euo pipefail

readonly LOG=${PLUMB_POSTGRES_LOG:-/var/log/plumb-postgres.log}

if command -v initdb >/dev/null || compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null; then exit 0; fi

if [[ ${PLUMB_INSTALL_POSTGRES:-1} == 0 || $(id -u) != 0 ]] || ! grep -qsE '^ID=(debian|ubuntu)' /etc/os-release; then
    echo "plumb: no PostgreSQL is here, so the journal is tested on SQLite alone; install it to test both" >&2
    exit 0
fi

# The package would set up and start a server of its own, which nobody asked for.
mkdir -p /etc/postgresql-common
[[ -e /etc/postgresql-common/createcluster.conf ]] || echo 'create_main_cluster = false' >/etc/postgresql-common/createcluster.conf

export DEBIAN_FRONTEND=noninteractive
if ! { apt-get -o DPkg::Lock::Timeout=120 --quiet update &&
    apt-get -o DPkg::Lock::Timeout=120 -o Dpkg::Options::=--force-confold --quiet --yes --no-install-recommends \
        install postgresql; } >"$LOG" 2>&1; then
    echo "plumb: PostgreSQL could not be installed, and the journal is tested on SQLite alone; see $LOG" >&2
fi
