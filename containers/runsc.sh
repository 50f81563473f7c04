#!/usr/bin/env bash
# Makes sure that there is a runsc (gVisor) for the attack tests. Silent and quick where there is one.
#
# PLUMB_INSTALL_RUNSC=0  changes nothing on this machine: the attacks are played with runc alone then
set -euo pipefail

readonly LOG=${PLUMB_RUNSC_LOG:-/var/log/plumb-runsc.log}

if command -v runsc >/dev/null; then exit 0; fi

# Ubuntu has no such package.
if [[ ${PLUMB_INSTALL_RUNSC:-1} == 0 || $(id -u) != 0 ]] || ! grep -qs '^ID=debian' /etc/os-release; then
    echo "plumb: no runsc is here, so the attacks are played with runc alone; install it to play them with both" >&2
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
if ! { apt-get -o DPkg::Lock::Timeout=120 --quiet update &&
    apt-get -o DPkg::Lock::Timeout=120 --quiet --yes --no-install-recommends install runsc; } >"$LOG" 2>&1; then
    echo "plumb: runsc could not be installed, and the attacks are played with runc alone; see $LOG" >&2
fi
