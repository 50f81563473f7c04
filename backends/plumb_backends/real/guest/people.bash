# Writes down accounts, groups, the variables that a process began with, and processes, each part
# ended by a line of its own.
# Arguments: that process's id.
# The first line is this process's id: what it started is not to be looked at.
echo "$$"
getent passwd || cat /etc/passwd
echo .
getent group || cat /etc/group
echo .
tr '\n\0' ' \n' <"/proc/$1/environ"
echo .
# ps may be missing; /proc/PID/stat is "pid (comm) state ppid ...", and comm may hold spaces.
for entry in /proc/[0-9]*; do
  { read -r stat <"$entry/stat"; } 2>/dev/null || continue
  read -r state parent _ <<<"${stat##*) }"
  [[ $state == Z ]] && continue
  printf '%s %s %s ' "${entry#/proc/}" "$parent" "$(stat -c %U "$entry" 2>/dev/null)"
  tr '\0\n' '  ' <"$entry/cmdline" 2>/dev/null
  echo
done
