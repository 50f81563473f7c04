# Runs one program and says on both streams when it has ended: a child that it left behind may
# hold the streams open for ever.
# Arguments: the program and its arguments.
# Reads a line with a key and how many bytes of standard input follow. The key is no argument: a
# program that lists processes would print it, and so end its own output.
read -r key size
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
