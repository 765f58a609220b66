# shellcheck shell=bash
# Sourced: one run at a time.

# take_turn LOCK_FILE OTHER: takes a lock, as file descriptor 9, that ends with the last process that has it; says
# which OTHER it waits for. Waits in the background, where a signal to this script is not held up.
take_turn() {
  exec 9>>"$1"
  ! lock_file_nine now || return 0
  echo "Waiting for $2 ..."
  lock_file_nine &
  wait "$!"
}

# lock_file_nine [now]: macOS has no flock, but perl.
lock_file_nine() {
  if command -v flock >/dev/null; then
    flock ${1:+--nonblock} 9
  else
    perl -e '
      use Fcntl ":flock";
      open(my $file, ">>&=", 9);
      exit !flock($file, LOCK_EX | (@ARGV ? LOCK_NB : 0));' ${1:+now}
  fi
}
