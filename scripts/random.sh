# shellcheck shell=bash
# Sourced: randomness good enough for secrets.

# random_hex BYTES
random_hex() {
  od -An -N"$1" -tx1 /dev/urandom | tr -d ' \n'
}
