#!/usr/bin/env bash
# Prepares data directory, database and roles before the server starts. It runs at every start of the pod, so that a
# first start, a restart, a reinstall over kept data and a changed password all take the same way.
set -Eeuo pipefail

scripts=${BASH_SOURCE[0]%/*}
volume=${PGDATA%/*}
new=$PGDATA.new
export PGHOST=/tmp/initialise PGUSER=$SUPERUSER PGCTLTIMEOUT=86400
running=
verdict=('the preparation failed; the error is above')

say() { printf '✓ %s\n' "$*"; }

refuse() {
  verdict=("$@")
  exit 1
}

# start DIRECTORY: a server that nothing outside this container can reach, and that logs no statement: they hold
# passwords.
start() {
  mkdir -p "$PGHOST"
  echo 'local all all trust' >"$PGHOST/pg_hba.conf"
  running=$1
  pg_ctl -D "$1" -w -s -o "-c listen_addresses= -c unix_socket_directories=$PGHOST -c hba_file=$PGHOST/pg_hba.conf \
    -c ssl=off -c log_statement=none -c log_min_duration_statement=-1 -c log_min_error_statement=panic" start
}

stop() {
  [[ -n $running ]] || return 0
  pg_ctl -D "$running" -m fast -w -s stop && running=
}

# The verdict comes last, after what the server says while it stops.
finish() {
  local code=$?
  stop || echo 'the server had stopped already' >&2
  ((code == 0 || code == 143)) || printf '✗ %s\n' "${verdict[@]}" >&2
}
trap 'exit 143' INT TERM
trap finish EXIT

# The same lock as in start.sh: the server of a deleted pod may still be stopping.
exec 9>>"$volume/lock"
if ! flock -n 9; then
  echo 'another pod still uses the volume; waiting until its server has stopped'
  flock 9
fi

for file in "$PASSWORDS"/*; do
  [[ -s $file ]] || refuse "the password of the role ${file##*/} is empty; set it in the Secret"
done

[[ $(postgres --version) =~ \ ([0-9]+) ]]
major=${BASH_REMATCH[1]}
# What a first start left behind that was killed half-way.
rm -rf "$new"
if [[ -s $PGDATA/PG_VERSION ]]; then
  version=$(<"$PGDATA/PG_VERSION")
  [[ $version == "$major" ]] || refuse \
    "the data directory was made by PostgreSQL $version, and this image is PostgreSQL $major" \
    "use an image of PostgreSQL $version, or dump with $version and restore into an empty volume with $major"
  # A volume driver that gives files to the group of the pod opens the directory more than the server accepts.
  chmod 0700 "$PGDATA"
  cluster=$PGDATA
else
  [[ ! -e $volume/PG_VERSION ]] || refuse \
    "the volume's root is itself a data directory, of PostgreSQL $(<"$volume/PG_VERSION")" \
    "move its files into the directory ${PGDATA##*/} of the volume, or use an empty volume"
  [[ ! -d $PGDATA ]] || rmdir "$PGDATA" || refuse "$PGDATA holds files but no PG_VERSION; it is left as it is"
  # Strings sort by bytes: the same with every C library, so that another image cannot break indexes.
  initdb -D "$new" --username="$SUPERUSER" --encoding=UTF8 --locale=C.UTF-8 --lc-collate=C --data-checksums \
    --auth-local=trust --auth-host=scram-sha-256 >/dev/null
  say "made a data directory of PostgreSQL $major"
  cluster=$new
fi

start "$cluster"
psql=(psql --no-psqlrc --quiet --tuples-only --no-align --set ON_ERROR_STOP=1 --set VERBOSITY=terse --dbname=postgres)
"${psql[@]}" --command='SELECT 1' >/dev/null || refuse \
  "the superuser $SUPERUSER cannot connect: postgres.user is fixed at the first start"
# psql itself reads the passwords: they are in no argument and no variable of a process.
steps=()
for role in superuser owner loader api reader exporter backup; do
  name=${role^^}
  [[ -n ${!name:-} ]] || continue
  psql+=(--set "$role=${!name}")
  # A role that is the superuser by another name has the superuser's password.
  [[ $role == superuser || ${!name} != "$SUPERUSER" ]] || continue
  steps+=(--command="\\set role ${!name}" --command="\\set password \`cat $PASSWORDS/$role\`")
  steps+=(--file="$scripts/role.sql")
done
"${psql[@]}" --set "database=$DATABASE" "${steps[@]}" --file="$scripts/database.sql"
stop

[[ $cluster == "$PGDATA" ]] || mv "$cluster" "$PGDATA"
say "PostgreSQL $major is prepared: database $DATABASE, superuser $SUPERUSER"
