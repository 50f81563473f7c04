# Writes down what a sandbox is, for a simulator that has never seen one: a line each.
# Arguments: the commands that may or may not be installed.
. /etc/os-release 2>/dev/null
echo "system: ${PRETTY_NAME:-unknown} on $(uname -m)"
echo "shell: bash ${BASH_VERSION%(*}"
echo "coreutils: $(ls --version 2>/dev/null | sed -n '1s/.* //p')"
echo "awk: $(basename "$(readlink -f "$(command -v awk)")")"
for command in python3 git; do
  if type -P "$command" >/dev/null; then echo "${command%3}: $("$command" --version 2>&1 | sed 's/.* //')"; fi
done
echo "user: $(id -un) ($(id -u)), groups $(id -Gn)"
echo "home: $HOME, which holds $(ls -A ~ | tr '\n' ' ')"
echo "at the top: $(ls -A / | tr '\n' ' ')"
echo "umask: $(umask), locale ${LANG:-none}, time zone ${TZ:-none}"
there=() lacking=()
for command in "$@"; do
  if type -P "$command" >/dev/null; then there+=("$command"); else lacking+=("$command"); fi
done
echo "installed: ${there[*]}"
echo "not installed: ${lacking[*]}"
