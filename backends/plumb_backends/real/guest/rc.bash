# The start-up file of a session's shell: sets the marks that marks.py describes.
# KEY is replaced by the session's key before this is sent.
#
# What this may rely on: nothing that an agent can change by accident. The marks are in the prompt
# strings, which bash expands without running a command, so that `set -x`, `set -u`, aliases and
# redefined builtins do not show or matter. PROMPT_COMMAND only puts back what has been changed.

__plumb_arm() {
  # Pastes are how actions come in; a colour for pasted text would only lengthen the echo.
  [[ -o emacs || -o vi ]] || builtin set -o emacs
  builtin bind 'set enable-bracketed-paste on' 'set enable-active-region off'
  case ${PS0-} in *KEY*) ;; *) PS0='\e]133;C;KEY\a'${PS0-} ;; esac
  # The status is taken before the agent's own part, which may run commands.
  case ${PS1-} in
    *KEY*) ;;
    *) PS1='\[\e]133;A;KEY\a\]${PS1:$((__plumb_status=$?)):0}'${PS1-}'\[\e]133;B;KEY;$__plumb_status;$$;${PWD@Q};\u;\H\a\]' ;;
  esac
  case ${PS2-} in *KEY*) ;; *) PS2='\[\e]133;P;KEY\a\]'${PS2-} ;; esac
}

__plumb_prompt() {
  __plumb_arm
  # Descriptor 9 is standard error as it was before PROMPT_COMMAND hid it.
  [[ -t 9 ]] || builtin printf '\e]133;X;KEY\a' >/dev/tty
}

# The answer to marks.ASK: says that bash reads (R), or, where PROMPT_COMMAND was lost, that the next
# prompt will have its marks again (N). The prompt strings are left to that one: bash holds a pointer
# to the value of PS0 while it reads, and would print what is there after the value is freed.
__plumb_answer() {
  __plumb_letter=R
  case ${PROMPT_COMMAND-} in
    *__plumb_prompt*) ;;
    *) if { __plumb_hook; } 2>/dev/null; then __plumb_letter=N; fi ;;
  esac
  builtin return 0
}

__plumb_hook() {
  # To set a variable that is readonly would end all that runs here, and nothing would be answered.
  if [[ -v PROMPT_COMMAND && ${PROMPT_COMMAND@a} == *r* ]]; then builtin return 1; fi
  # All of it in a group whose standard error is hidden: with `set -x` nothing shows. The second
  # half is for a shell whose standard error is closed, where the first cannot be redirected.
  # Before and behind what is there: that may not parse, or set the prompt strings itself.
  builtin local mine='{ __plumb_prompt; } 9>&2 2>/dev/null || { __plumb_prompt; } 2>/dev/null'
  case ${PROMPT_COMMAND-} in
    *__plumb_prompt*) ;;
    *) PROMPT_COMMAND=$mine${PROMPT_COMMAND:+$'\n'$PROMPT_COMMAND$'\n'$mine} ;;
  esac
}

if [[ -r ~/.bashrc ]]; then . ~/.bashrc; fi
set +H # an exclamation mark is an exclamation mark
__plumb_who='\u'
__plumb_hook
# The mark is printed by the binding itself: a shell that has lost its functions must answer, too, or
# it would be asked for ever, for readline shows the prompt again after each time.
for __plumb_map in emacs vi-insert; do
  bind -m "$__plumb_map" -x '"\C-^": { __plumb_status=$?; __plumb_answer || __plumb_letter=R; builtin printf "\e]133;%s;KEY;%s;%s;%s;%s;%s\a" "$__plumb_letter" "$__plumb_status" "$$" "${PWD@Q}" "${__plumb_who@P}" "$HOSTNAME" >/dev/tty; } 2>/dev/null' 2>/dev/null
done
unset __plumb_map
if [[ -n $1 ]]; then cd -- "$1" 2>/dev/null; fi # where the shell was that this one takes the place of
