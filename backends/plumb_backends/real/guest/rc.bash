# The start-up file of a session's shell: sets the marks that marks.py describes.
# KEY is replaced by the session's key before this is sent.
#
# What this may rely on: nothing that an agent can change by accident. The marks are in the prompt
# strings, which bash expands without running a command, so that `set -x`, `set -u`, aliases and
# redefined builtins do not show or matter. PROMPT_COMMAND only puts back what has been changed.
# __plumb_turn is the token of the turn. It is never exported: a nested bash does not have it.

# Reads the token that is typed in front of each action. It is a completion of the empty line, for
# that, other than a key bound to a command, is silent: readline does not draw the prompt again.
__plumb_open() {
  {
    __plumb_last=$_ __plumb_turn=
    IFS= builtin read -rd $'\035' __plumb_turn
    [[ $__plumb_turn ]] || IFS= read -rd $'\035' __plumb_turn # `builtin` is a function
    [[ ${TERM-} == "${__plumb_term-?}" ]] || __plumb_set_readline
    : "$__plumb_last"
  } 2>/dev/null
}

# Readline forgets these when it first reads, and with each new TERM. Also where plumb had to ask,
# for a shell that lost its completions is asked.
__plumb_set_readline() {
  # Pastes are how actions come in, and readline's announcement of them is how prompts are found.
  # A colour for pasted text would only lengthen the echo, and a bell would ring at __plumb_open.
  builtin bind 'set enable-bracketed-paste on' 'set enable-active-region off' 'set bell-style none'
  builtin complete -E -F __plumb_open
  __plumb_term=${TERM-}
}

__plumb_arm() {
  [[ -o emacs || -o vi ]] || builtin set -o emacs
  case ${PS0-} in *KEY*) ;; *) PS0='\e]133;C;KEY;${__plumb_turn-}\a'${PS0-} ;; esac
  # The status is taken before the agent's own part, which may run commands. What was put in front
  # of the first mark, or behind the last, is the agent's own part, too.
  __plumb_first='\[\e]133;A;KEY;${__plumb_turn-}\a\]${PS1:$((__plumb_status=$?)):0}'
  __plumb_final='\[\e]133;B;KEY;${__plumb_turn-};$__plumb_status;$$;${PWD@Q};\u;\H\a\]'
  __plumb_own=${PS1-}
  __plumb_own=${__plumb_own//"$__plumb_first"/}
  PS1=$__plumb_first${__plumb_own//"$__plumb_final"/}$__plumb_final
  case ${PS2-} in *KEY*) ;; *) PS2='\[\e]133;P;KEY;${__plumb_turn-}\a\]'${PS2-} ;; esac
  case ${PROMPT_COMMAND[*]-} in "${__plumb_hooked-}") ;; *) __plumb_hook ;; esac
  __plumb_armed=$PS0$PS1$PS2${PROMPT_COMMAND[*]-}
}

__plumb_prompt() {
  # Equality is quick; the patterns of __plumb_arm take bash milliseconds.
  [[ ( -o emacs || -o vi ) && ${PS0-}${PS1-}${PS2-}${PROMPT_COMMAND[*]-} == "${__plumb_armed-}" ]] ||
    __plumb_arm
  # Descriptor 9 is standard error as it was before PROMPT_COMMAND hid it.
  [[ -t 9 ]] || builtin printf '\e]133;X;KEY;%s\a' "${__plumb_turn-}" >/dev/tty
}

# The answer to marks.ASK: says that bash reads (R), or, where PROMPT_COMMAND was lost, that the next
# prompt will have its marks again (N). The prompt strings are left to that one: bash holds a pointer
# to the value of PS0 while it reads, and would print what is there after the value is freed.
__plumb_answer() {
  __plumb_letter=R
  __plumb_set_readline
  case ${PROMPT_COMMAND[*]-} in
    *__plumb_prompt*) ;;
    *) if { __plumb_hook; } 2>/dev/null; then __plumb_letter=N; fi ;;
  esac
  builtin return 0
}

# Runs the arming before and behind what is in PROMPT_COMMAND: that may not parse, or set the prompt
# strings itself.
__plumb_hook() {
  # To set a variable that is readonly would end all that runs here, and nothing would be answered.
  if [[ -v PROMPT_COMMAND && ${PROMPT_COMMAND@a} == *r* ]]; then builtin return 1; fi
  # All of it in a group whose standard error is hidden: with `set -x` nothing shows. The second
  # half is for a shell whose standard error is closed, where the first cannot be redirected.
  PROMPT_COMMAND=${PROMPT_COMMAND-}
  __plumb_mine='{ __plumb_prompt; } 9>&2 2>/dev/null || { __plumb_prompt; } 2>/dev/null'
  if [[ ${PROMPT_COMMAND@a} == *a* ]]; then # bash 5.1 and later run all elements
    PROMPT_COMMAND=("${PROMPT_COMMAND[@]//"$__plumb_mine"/:}")
    PROMPT_COMMAND[0]=$__plumb_mine$'\n'${PROMPT_COMMAND[0]}
    PROMPT_COMMAND[${#PROMPT_COMMAND[@]} - 1]+=$'\n'$__plumb_mine
  else
    PROMPT_COMMAND=${PROMPT_COMMAND//"$__plumb_mine"/:}
    PROMPT_COMMAND=$__plumb_mine${PROMPT_COMMAND:+$'\n'$PROMPT_COMMAND$'\n'$__plumb_mine}
  fi
  __plumb_hooked=${PROMPT_COMMAND[*]}
}

if [[ -r ~/.bashrc ]]; then . ~/.bashrc; fi
# What the shell has now, for who captures it: no process is started, and nothing is changed by it.
{
  builtin printf '\e]133;S;KEY;KEY\a'; builtin declare -p
  builtin printf '\e]133;S;KEY;KEY\a'; builtin alias -p
  builtin printf '\e]133;S;KEY;KEY\a'; builtin declare -f
  builtin printf '\e]133;S;KEY;KEY\a'; builtin shopt -p; builtin set +o
  builtin printf '\e]133;S;KEY;KEY\a'
} >/dev/tty 2>/dev/null
__plumb_unset=${-//[^u]/}
set +u
for __plumb_map in "PS0 ${PS0@a}" "PS1 ${PS1@a}" "PS2 ${PS2@a}" "PROMPT_COMMAND ${PROMPT_COMMAND@a}"; do
  if [[ $__plumb_map == *' '*r* ]]; then
    printf '\e]133;E;KEY;KEY;%s\a' "${__plumb_map% *}" >/dev/tty
    exit 1
  fi
done
${__plumb_unset:+set -u}
set +H # an exclamation mark is an exclamation mark
__plumb_turn=KEY # until the first action
__plumb_hook
shopt -s no_empty_cmd_completion # where __plumb_open is lost, its key does nothing
__plumb_set_readline 2>/dev/null
unset __plumb_term
# The mark is printed by the binding itself: a shell that has lost its functions must answer, too, or
# it would be asked for ever, for readline shows the prompt again after each time.
for __plumb_map in emacs vi-insert; do
  bind -m "$__plumb_map" '"\C-_": complete' 2>/dev/null
  bind -m "$__plumb_map" '"\C-]": unix-line-discard' 2>/dev/null
  bind -m "$__plumb_map" -x '"\C-^": { __plumb_status=$? __plumb_last=$_ __plumb_turn=${READLINE_LINE:-${__plumb_turn-}} READLINE_LINE= __plumb_who="\u;\H"; __plumb_answer || __plumb_letter=R; __plumb_said=("\e]133;%s;KEY;%s;%s;%s;%s;%s\a" "$__plumb_letter" "${__plumb_turn-}" "$__plumb_status" "$$" "${PWD@Q}" "${__plumb_who@P}"); { builtin printf "${__plumb_said[@]}" || printf "${__plumb_said[@]}"; } >/dev/tty; : "$__plumb_last"; } 2>/dev/null' 2>/dev/null
done
unset __plumb_map __plumb_unset
if [[ -n $1 ]]; then cd -- "$1" 2>/dev/null; fi # where the shell was that this one takes the place of
