# Writes the digests of some files, and after an empty record what some of them hold.
# Arguments: how many of the files' contents are wanted; those come first.
# Reads the paths, ended by NUL each. A digest is ended by NUL, as sha256sum writes it.
mapfile -td '' paths
sha256sum -z -- "${paths[@]}" 2>/dev/null
printf '\0'
(($1)) && cat -- "${paths[@]:0:$1}" 2>/dev/null
:
