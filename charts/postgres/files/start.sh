#!/usr/bin/env bash
# Starts the server once no other pod uses the volume. A deleted pod is replaced at once, while its server is still
# stopping; the servers do not see each other's processes, and two on one data directory destroy it.
set -Eeuo pipefail

# The server inherits this descriptor: the lock is free when its last process has ended.
exec 9>>"${PGDATA%/*}/lock"
if ! flock -n 9; then
  echo 'another pod still uses the volume; waiting until its server has stopped'
  flock 9
fi
exec docker-entrypoint.sh postgres "$@"
