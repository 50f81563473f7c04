# Ends what can read a shell's terminal beside the shell: job control holds back the jobs of its own
# session, but nobody of another one, and nobody in the shell's own group (`set +m`).
# Arguments: the shell's PID, and for how many seconds at most they have run; empty for any.
# Prints `ended PID` for each, and `hidden UID:GID` where only that user may see what is open.
shell=$1 most_age=$2

# /proc/PID/stat is "pid (comm) state ppid pgrp session tty …", and the start is its 22nd field.
stat_of() {
  local line fields
  { read -r line <"/proc/$1/stat"; } 2>/dev/null || return 1
  read -ra fields <<<"${line##*) }"
  state=${fields[0]} pgrp=${fields[2]} sid=${fields[3]} terminal=${fields[4]} began=${fields[19]}
}

is_beside() {
  [[ $1 != "$shell" ]] && stat_of "$1" && [[ $state != [ZX] ]] || return
  if [[ $sid == "$shell_sid" ]]; then [[ $pgrp == "$shell_pgrp" ]] || return; fi
  ((terminal == 0 || terminal == shell_terminal)) || return
  [[ -z $most_age ]] || ((now - began <= most_age * 100))
}

# Standard output and error are for writing, and 255 is where a bash keeps its terminal.
holds_terminal() {
  local fd seen=1
  for fd in "/proc/$1/fd/"*; do
    [[ -e $fd ]] && seen=0
    [[ ${fd##*/} == [12] || ${fd##*/} == 255 ]] && continue
    [[ $fd -ef $path || $fd -ef /dev/tty ]] && return
  done
  ((seen)) && [[ ! -O /proc/$1 ]] && tell_owner "$1"
  return 1
}

tell_owner() {
  local name real rest uid gid
  while read -r name real rest; do
    case $name in Uid:) uid=$real ;; Gid:) gid=$real ;; esac
  done <"/proc/$1/status"
  echo "hidden $uid:$gid"
}

{
  stat_of "$shell" || exit 0
  shell_sid=$sid shell_pgrp=$pgrp shell_terminal=$terminal
  path=/dev/pts/$((terminal & 255 | terminal >> 12 & 1048320))
  read -r now _ </proc/uptime
  now=${now/./}
  found=()
  for entry in /proc/[0-9]*; do
    is_beside "${entry#/proc/}" && holds_terminal "${entry#/proc/}" && found+=("${entry#/proc/}")
  done
  for pid in "${found[@]}"; do kill -KILL "$pid" && echo "ended $pid"; done
  exec {quiet}<> <(:)
  for ((tries = 50; tries > 0; tries--)); do
    left=0
    for pid in "${found[@]}"; do stat_of "$pid" && [[ $state != [ZX] ]] && left=1; done
    ((left)) || break
    read -rt 0.02 -u "$quiet"
  done
} 2>/dev/null
