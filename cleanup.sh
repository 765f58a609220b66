#!/usr/bin/env bash
# Stops what deploy.sh has brought up.
set -Eeuo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
source scripts/messages.sh

usage() {
  cat <<'END'
Usage: ./cleanup.sh --local [--purge-data [--yes]]

  --local        stops order-food and the private PostgreSQL of this machine; the data stays
  --purge-data   removes the data too, all of .local; asks first if there is a terminal
  --yes          does not ask
  --help         shows this
END
}

confirm_purge() {
  local answer
  [[ -t 0 ]] || return 0
  read -r -p 'Remove .local with all data of the database? [y/N] ' answer
  [[ $answer == [yY]* ]] || fail "Nothing was stopped or removed."
}

target_platform='' purge='' yes=''
for argument in "$@"; do
  case $argument in
    --local) target_platform=local ;;
    --purge-data) purge=yes ;;
    --yes) yes=yes ;;
    --help) usage; exit ;;
    *) fail "cleanup.sh does not know '$argument'; ./cleanup.sh --help lists what it knows." 2 ;;
  esac
done

[[ $target_platform == local ]] || fail "Cleaning up a cluster is not there yet in this version; ./cleanup.sh --local does this machine." 2
[[ -z $purge || -n $yes ]] || confirm_purge
source scripts/local.sh
cleanup_local "$purge"
