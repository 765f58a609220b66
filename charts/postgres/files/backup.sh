#!/usr/bin/env bash
# Dumps every database into a directory, one file each, and removes old dumps after a backup that succeeded.
set -Eeuo pipefail

# libpq takes no password file for one password, only its own format, in which a colon and a backslash are escaped.
export PGPASSFILE=/tmp/passwords
umask 077
printf '*:*:*:*:%s\n' "$(sed 's/[\\:]/\\&/g' "$PASSWORDS/backup")" >"$PGPASSFILE"

# What an earlier run left behind that was killed half-way.
rm -f "$BACKUPS"/*.part
now=$(date -u +%Y-%m-%dT%H%M%SZ)
databases=$(psql --no-psqlrc --tuples-only --no-align --dbname=postgres \
  --command='SELECT datname FROM pg_database WHERE datallowconn AND NOT datistemplate ORDER BY datname')

# dump DATABASE FILE: the file has its name only when it is whole.
dump() {
  pg_dump --format=custom --lock-wait-timeout=60s --file="$2.part" --dbname="$1" &&
    pg_restore --list "$2.part" >/dev/null && sync "$2.part" && mv "$2.part" "$2" &&
    printf '✓ %s dumped to %s (%s bytes)\n' "$1" "${2##*/}" "$(stat -c %s "$2")"
}

failed=()
while IFS= read -r database; do
  dump "$database" "$BACKUPS/${database//\//_}.$now.dump" || failed+=("$database")
done <<<"$databases"
if ((${#failed[@]})); then
  printf '✗ not dumped: %s; no old dump was removed\n' "${failed[*]}" >&2
  exit 1
fi

old=$(find "$BACKUPS" -maxdepth 1 -name '*.dump' -mtime "+$((RETENTION_DAYS - 1))" -print)
while IFS= read -r file; do
  [[ -n $file ]] || continue
  rm "$file"
  printf '✓ %s removed after %s days\n' "${file##*/}" "$RETENTION_DAYS"
done <<<"$old"
printf '✓ backup done: %s left\n' "$(df -h "$BACKUPS" | awk 'END { print $4 }')"
