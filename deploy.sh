#!/usr/bin/env bash
# Brings the whole system up.
set -Eeuo pipefail

caller_folder=$PWD
cd "$(dirname "${BASH_SOURCE[0]}")"
source scripts/messages.sh
source scripts/arguments.sh

usage() {
  cat <<'END'
Usage: ./deploy.sh [OPTION]...
       ./deploy.sh --local [--detach] [--verbose]

Brings up PostgreSQL, migrates the database, loads the data and starts order-food. Without --local, on a cluster:
starts minikube if it does not run, builds the image and gets it into the cluster, installs the charts postgres,
database-load and order-food, tests them and places an order. What is already there as it should be is left alone.

  --context NAME              the cluster to use, a context of kubectl [that of the minikube profile];
                              one that is not minikube's needs --image-loader or --skip-build
  --namespace NAME            namespace to install into [default]
  --profile NAME              profile of minikube [minikube]
  --skip-build                uses the image that is installed, or the newest one in minikube
  --image REPOSITORY[:TAG]    what the image is called [order-food]; a tag names an existing one, for --skip-build
  --image-loader COMMAND      gets the image into the cluster; its name is appended: 'kind load docker-image'
  --values RELEASE:FILE       values for the chart of a release: postgres, database-load or order-food
  --set RELEASE:KEY=VALUE     one such value
  --timeout DURATION          how long the releases may take to be ready [5m]
  --dry-run                   says what would be done, and does nothing
  --local                     on this machine, without a cluster: builds the programs and runs them on a private
                              PostgreSQL, until Ctrl-C. All it keeps is in .local; a PostgreSQL that is not installed
                              comes from npm
  --detach                    with --local: returns as soon as order-food is ready; ./cleanup.sh --local stops what runs
  --verbose                   shows all that the tools say
  --help                      shows this

Variables with a cluster:
  KUBECONFIG       where kubectl and helm find their contexts
  HELM             the helm to use, 3.13 or newer, or 4 [helm]

Variables with --local:
  PORT             port of order-food [8080]
  LISTEN_ADDRESS   where order-food listens [127.0.0.1]
  LOCAL_DB_PORT    port of the private PostgreSQL [54329]
  DATABASE_URL     database to use instead, postgres://user:password@host:port/database
Those of the programs apply as well; each shows its own with --help.
END
}

local='' detach='' verbose='' cluster_flags=()
context='' profile='' namespace=default skip_build='' image='' image_loader='' timeout=300 dry_run='' release_options=()
while (($# > 0)); do
  words=1
  case $1 in
    --local) local=yes ;;
    --detach) detach=yes ;;
    --verbose) verbose=yes ;;
    --help) usage; exit ;;
    --skip-build) skip_build=yes ;;
    --dry-run) dry_run=yes ;;
    --context | --context=*) take_value "$@"; context=$value ;;
    --namespace | --namespace=*) take_value "$@"; namespace=$value ;;
    --profile | --profile=*) take_value "$@"; profile=$value ;;
    --image | --image=*) take_value "$@"; image=$value ;;
    --image-loader | --image-loader=*) take_value "$@"; image_loader=$value ;;
    --timeout | --timeout=*) take_value "$@"; timeout=$(seconds_of "$value") ;;
    --values | --values=* | --set | --set=*) take_value "$@"; release_options+=("${1%%=*}" "$value") ;;
    *) fail "deploy.sh does not know '$1'; ./deploy.sh --help lists what it knows." 2 ;;
  esac
  case $1 in --local | --detach | --verbose) ;; *) cluster_flags+=("${1%%=*}") ;; esac
  shift "$words"
done

if [[ -n $local ]]; then
  only_for "with --local" ${cluster_flags[@]+"${cluster_flags[@]}"}
  source scripts/local.sh
  deploy_local "$detach" "$verbose"
else
  only_for "without --local" ${detach:+--detach}
  source scripts/cluster.sh
  deploy_cluster
fi
