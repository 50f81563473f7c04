# Writes down what is at some paths: type, mode, user, group, size, time, link target and the path
# itself, each ended by NUL. A path that is gone is left out.
# Reads the paths, ended by NUL each.
xargs -0 -r sh -c 'exec find "$@" -maxdepth 0 -printf "%y\0%m\0%u\0%g\0%s\0%T@\0%l\0%p\0"' sh 2>/dev/null
:
