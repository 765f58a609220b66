#!/usr/bin/env bash
# Stops what deploy.sh has brought up.
set -Eeuo pipefail

caller_folder=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
source scripts/messages.sh
source scripts/arguments.sh

usage() {
  cat <<'END'
Usage: ./cleanup.sh [OPTION]...
       ./cleanup.sh --local [--purge-data [--yes]]

Uninstalls order-food, database-load and postgres. The data stays, and what goes with it, such as its passwords.

  --context NAME       the cluster to use, a context of kubectl [that of the minikube profile]
  --namespace NAME     namespace that the releases are in [default]
  --profile NAME       profile of minikube [minikube]
  --purge-data         removes the data too, and the Secrets that stay with it; asks first
  --delete-minikube    deletes the minikube profile with all that is in it instead; asks first
  --yes                does not ask; needed where there is no terminal
  --timeout DURATION   how long each release may take to be gone [5m]
  --dry-run            says what would be done, and does nothing
  --local              stops order-food and the private PostgreSQL of this machine; the data stays in .local
  --verbose            shows all that the tools say
  --help               shows this
END
}

local='' purge='' yes='' verbose='' cluster_flags=()
context='' profile='' namespace=default timeout=300 dry_run='' delete_minikube=''
while (($# > 0)); do
  words=1
  case $1 in
    --local) local=yes ;;
    --purge-data) purge=yes ;;
    --yes) yes=yes ;;
    --verbose) verbose=yes ;;
    --help) usage; exit ;;
    --delete-minikube) delete_minikube=yes ;;
    --dry-run) dry_run=yes ;;
    --context | --context=*) take_value "$@"; context=$value ;;
    --namespace | --namespace=*) take_value "$@"; namespace=$value ;;
    --profile | --profile=*) take_value "$@"; profile=$value ;;
    --timeout | --timeout=*) take_value "$@"; timeout=$(seconds_of "$value") ;;
    *) fail "cleanup.sh does not know '$1'; ./cleanup.sh --help lists what it knows." 2 ;;
  esac
  case $1 in --local | --purge-data | --yes) ;; *) cluster_flags+=("${1%%=*}") ;; esac
  shift "$words"
done

# confirm QUESTION: what is removed for good is asked about, unless --yes is given.
confirm() {
  local answer
  [[ -z $yes ]] || return 0
  [[ -t 0 ]] || fail "There is no terminal to ask: $1 Say so with --yes." 2
  read -r -p "$1 [y/N] " answer
  [[ $answer == [yY]* ]] || fail "Nothing was stopped or removed."
}

if [[ -n $local ]]; then
  only_for "with --local" ${cluster_flags[@]+"${cluster_flags[@]}"}
  [[ -z $purge ]] || confirm "Remove .local with all data of the database?"
  source scripts/local.sh
  cleanup_local "$purge"
else
  source scripts/cluster.sh
  cleanup_cluster
fi
