#!/usr/bin/env bash
# Makes sure that there is a Chromium for the tests of the pages. Silent and quick where there is one.
#
# PLUMB_CHROMIUM           the browser to use
# PLUMB_INSTALL_BROWSER=0  changes nothing on this machine: those tests are skipped then
set -euo pipefail

readonly LOG=${PLUMB_BROWSER_LOG:-/var/log/plumb-browser.log}

for name in "${PLUMB_CHROMIUM:-}" chromium chromium-browser google-chrome; do
    if [[ -n $name ]] && command -v "$name" >/dev/null; then exit 0; fi
done

# Ubuntu's package is a snap, which no container and few servers can install.
if [[ ${PLUMB_INSTALL_BROWSER:-1} == 0 || $(id -u) != 0 ]] || ! grep -qs '^ID=debian' /etc/os-release; then
    echo "plumb: no Chromium is here, so the tests of the pages are skipped; install it, or set PLUMB_CHROMIUM" >&2
    exit 0
fi

export DEBIAN_FRONTEND=noninteractive
if ! { apt-get -o DPkg::Lock::Timeout=120 --quiet update &&
    apt-get -o DPkg::Lock::Timeout=120 --quiet --yes --no-install-recommends install chromium; } >"$LOG" 2>&1; then
    echo "plumb: Chromium could not be installed, and the tests of the pages are skipped; see $LOG" >&2
fi
