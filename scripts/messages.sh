# shellcheck shell=bash
# Sourced: how the scripts speak to people.

explained=''

# fail MESSAGE [EXIT_CODE]: ends the script; the message says what happened and what to do next. It is the last word,
# which a trap on EXIT knows by explained=yes.
fail() {
  # shellcheck disable=SC2034
  explained=yes
  printf '✗ %s\n' "$1" >&2
  exit "${2:-1}"
}

# Bash before 5 has no clock finer than a second.
milliseconds() {
  local time=${EPOCHREALTIME:-$SECONDS.000000}
  echo $((${time%[.,]*} * 1000 + 10#${time#*[.,]} / 1000))
}

step_began=$(milliseconds)

# finished TEXT: one line for a finished step, with the time since the step before it.
finished() {
  local now took
  now=$(milliseconds)
  took=$((now - step_began))
  printf '✓ %s (%d.%d s)\n' "$1" $((took / 1000)) $((took % 1000 / 100))
  step_began=$now
}

# Ignores Ctrl-C, so that the last words of an interrupted program still arrive.
indent() {
  local line
  trap '' INT
  while IFS= read -r line || [[ -n $line ]]; do printf '  %s\n' "$line"; done
}
