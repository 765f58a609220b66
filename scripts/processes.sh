# shellcheck shell=bash
# Sourced: processes are known by their number, which passes on to other programs; these functions never mistake one for another.

# is_program PID NAME DIRECTORY [PREFIX...]: whether the process is that program, working in that directory.
# Where only the process's own user may see its directory, PREFIX is what makes a command run as that user.
is_program() (
  pid=$1 name=$2
  cd "$3" 2>/dev/null || return 1
  shift 3
  if [[ -d /proc/self ]]; then
    [[ $(cat "/proc/$pid/comm" 2>/dev/null) == "$name" ]] && "$@" test "/proc/$pid/cwd" -ef .
  else
    [[ $(lsof -a -p "$pid" -c "$name" -d cwd -F n 2>/dev/null) == *"n$(pwd -P)" ]]
  fi
)

# end_program SIGNAL PID NAME DIRECTORY [PREFIX...]: signals the program and waits for its end, at most 60 s.
end_program() {
  local signal=$1 deadline=$((SECONDS + 60))
  shift
  kill -s "$signal" "$1"
  while is_program "$@"; do
    ((SECONDS < deadline)) || return 1
    sleep 0.05
  done
}

# Becomes the command, in a session of its own: Ctrl-C in this terminal is not meant for it.
in_own_session() {
  if command -v setsid >/dev/null; then
    exec setsid "$@"
  else
    exec perl -e 'use POSIX; POSIX::setsid(); exec @ARGV' "$@"
  fi
}
