# Runs one program and says on both streams when it has ended: a child that it left behind may
# hold the streams open for ever.
# Arguments: a key; how many bytes of standard input follow; the program and its arguments.
key=$1 size=$2
shift 2
printf '%s=%d\n' "$key" "$$" >&2
if ((size)); then
  head -c "$size" | (exec -- "$@")
  status=${PIPESTATUS[1]}
else
  (exec -- "$@") </dev/null
  status=$?
fi
printf '%s:%d\n' "$key" "$status" >&2
printf '%s' "$key"
