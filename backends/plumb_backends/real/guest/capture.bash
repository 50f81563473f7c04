# Writes down what is at some paths, for a reader who cannot look: type, mode, owner, size, and what
# small text files hold.
# Arguments: the most bytes of a file whose content is shown.
# Reads `added`, `changed` or `deleted`, a space and a path, ended by NUL each.
most=$1
export LC_ALL=C.UTF-8

content_of() {
  (($2 == 0)) && return
  if (($2 > most)); then
    printf '    sha256 %s\n' "$(sha256sum <"$1" | cut -d' ' -f1)"
  elif grep -qI '' -- "$1" 2>/dev/null; then
    sed 's/^/    | /' -- "$1"
    [[ -z $(tail -c1 -- "$1") ]] || printf '\n    (no newline at the end)\n'
  else
    printf '    binary, sha256 %s\n' "$(sha256sum <"$1" | cut -d' ' -f1)"
  fi
}

while IFS= read -rd '' entry; do
  how=${entry%% *} path=${entry#* }
  if [[ $how == deleted ]]; then
    printf '%s: deleted\n' "$path"
    continue
  fi
  IFS=: read -r type mode owner size <<<"$(stat -c '%F:%a:%U %G:%s' -- "$path" 2>/dev/null)"
  owner=${owner/ /:}
  [[ $how == changed && $type == directory ]] && continue  # something in it is told below
  case $type in
    '') continue ;;  # gone since
    directory) printf '%s/: directory, mode %s, owner %s\n' "$path" "$mode" "$owner" ;;
    'symbolic link') printf '%s -> %s\n' "$path" "$(readlink -- "$path")" ;;
    'regular file' | 'regular empty file')
      printf '%s: %s, mode %s, owner %s, %s bytes\n' "$path" "$how" "$mode" "$owner" "$size"
      content_of "$path" "$size"
      ;;
    *) printf '%s: %s, mode %s, owner %s\n' "$path" "$type" "$mode" "$owner" ;;
  esac
done
