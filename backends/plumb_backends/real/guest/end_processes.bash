# Ends processes inside the sandbox and says when they are gone.
# Arguments: `session` SID, or `process` PID, or `foreground` PID (whose terminal's foreground
# group it is).
# Prints `shell` where the foreground group is PID's own, so that only Ctrl-C can help; `group`
# where it is another, and reads a line before it waits for that to go; `gone` or `stuck` at the end.
how=$1 pid=$2

# /proc/PID/stat is "pid (comm) state ppid pgrp session tty tpgid …"; comm may hold spaces.
stat_of() {
  local line
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -r state _ pgrp sid _ tpgid _ <<<"${line##*) }"
}

members() {
  local entry
  found=()
  for entry in /proc/[0-9]*; do
    stat_of "${entry#/proc/}" || continue
    [[ $state == [ZX] ]] && continue
    case $how in
      session) [[ $sid == "$pid" ]] ;;
      process) [[ $entry == "/proc/$pid" ]] ;;
      foreground) [[ $pgrp == "$group" ]] ;;
    esac && found+=("${entry#/proc/}")
  done
  ((${#found[@]}))
}

pause() { read -rt 0.02 -u "$quiet"; }

wait_until_gone() {
  local tries
  for ((tries = $1; tries > 0; tries--)); do
    members || { echo gone; exit 0; }
    pause
  done
}

exec {quiet}<> <(:)
if [[ $how == foreground ]]; then
  stat_of "$pid" || { echo gone; exit 0; }
  group=$tpgid
  [[ $group == "$pgrp" ]] && { echo shell; exit 0; }
  echo group
  read -rt 20 # until the caller has sent Ctrl-C; its way is another one, and has the second below
  wait_until_gone 50
  members && kill -TERM "${found[@]}" 2>/dev/null
  wait_until_gone 25
fi
for round in 1 2 3 4 5; do
  members && kill -KILL "${found[@]}" 2>/dev/null
  wait_until_gone 25
done
echo stuck
