#!/usr/bin/env bash
# Makes sure that a Docker engine answers. Silent and quick where one does; installs and starts one where it may.
#
# DOCKER_HOST             asks that engine, and never starts another in its place
# PLUMB_INSTALL_ENGINE=0  changes nothing on this machine: says what to do instead
# PLUMB_ENGINE_LOG        where installing and the engine leave their words (/var/log/plumb-dockerd.log)
set -euo pipefail

readonly LOG=${PLUMB_ENGINE_LOG:-/var/log/plumb-dockerd.log}
readonly PATIENCE_S=60

say() { printf 'plumb: %s\n' "$*" >&2; }

fail() {
    say "$@"
    exit 1
}

# The question goes to the address where it can: a `docker` command in PATH proves nothing, and with a context of its
# own it may speak of another engine than the Python SDK will.
engine_answers() {
    local host=${DOCKER_HOST:-unix:///var/run/docker.sock}
    local -a ask=(curl --silent --fail --max-time 5 --output /dev/null)
    if ! command -v curl >/dev/null || [[ -n ${DOCKER_TLS_VERIFY:-} ]]; then
        ask=(docker version)
    elif [[ $host == unix://* ]]; then
        ask+=(--unix-socket "${host#unix://}" http://localhost/_ping)
    elif [[ $host == tcp://* ]]; then
        ask+=("http://${host#tcp://}/_ping")
    else
        ask=(docker version)
    fi
    "${ask[@]}" >/dev/null 2>&1
}

# Says why nothing may be installed or started here; is silent where it may.
why_not() {
    if [[ -n ${DOCKER_HOST:-} ]]; then
        echo "the Docker engine at DOCKER_HOST=$DOCKER_HOST does not answer: start it, or unset DOCKER_HOST"
    elif [[ ${PLUMB_INSTALL_ENGINE:-1} == 0 ]]; then
        echo "no Docker engine answers, and PLUMB_INSTALL_ENGINE=0 forbids to install or start one: start it yourself"
    elif [[ $(id -u) != 0 ]]; then
        echo "no Docker engine answers you: start it, join its group (usually 'docker'), or run this script as root"
    elif ! command -v apt-get >/dev/null; then
        echo "no Docker engine answers, and only Debian and Ubuntu are set up by themselves: install Docker and start it"
    fi
}

# Prints the packages that are still wanted. An engine from elsewhere (docker-ce) counts: docker.io would push it out.
missing_packages() {
    command -v dockerd >/dev/null || echo docker.io
    command -v iptables >/dev/null || echo iptables
    command -v curl >/dev/null || echo curl
    command -v mmdebstrap >/dev/null || echo mmdebstrap
    # Ubuntu needs Debian's keys to take packages from Debian.
    [[ -e /usr/share/keyrings/debian-archive-keyring.gpg ]] || echo debian-archive-keyring
}

apt_get() {
    DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 --quiet --yes "$@" >>"$LOG" 2>&1
}

install_packages() {
    local -a packages
    mapfile -t packages < <(missing_packages)
    [[ ${#packages[@]} -gt 0 ]] || return 0
    say "installing ${packages[*]} (once)"
    # One broken third-party list must not stop us; a list that is really needed fails the install below.
    apt_get update || true
    apt_get install --no-install-recommends "${packages[@]}" ||
        fail "apt-get could not install ${packages[*]}: $(tail -n 3 "$LOG")"
}

dockerd_runs() { grep --quiet --line-regexp --no-messages dockerd /proc/[0-9]*/comm; }

systemd_runs() { [[ -d /run/systemd/system ]]; }

start_engine() {
    if systemd_runs; then
        systemctl start docker >>"$LOG" 2>&1 || true
    elif ! dockerd_runs; then
        # Cut off from our terminal and pipes: it outlives this script, and nobody waits for its output.
        setsid dockerd >"$LOG" 2>&1 </dev/null &
    fi
}

last_words() {
    if systemd_runs; then
        journalctl --unit docker --lines 5 --no-pager --output cat
    else
        tail -n 5 "$LOG"
    fi
}

wait_for_engine() {
    local deadline=$((SECONDS + PATIENCE_S))
    until engine_answers; do
        ((SECONDS < deadline)) || return 1
        sleep 0.2
    done
}

main() {
    engine_answers && return
    local reason
    reason=$(why_not)
    [[ -z $reason ]] || fail "$reason"
    install_packages
    # Installing may have started it.
    engine_answers && return
    say "starting the Docker engine"
    start_engine
    wait_for_engine || fail "the Docker engine did not answer within $PATIENCE_S s; its last words: $(last_words)"
}

main "$@"
