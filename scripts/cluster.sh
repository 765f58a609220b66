# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2154 # A go-template's $ is not the shell's; options are variables of the caller.
# Sourced by deploy.sh and cleanup.sh in the project's folder: the whole system on a cluster. Their options are
# variables here.

source scripts/turn.sh
source scripts/preflight.sh
source scripts/image.sh
source scripts/release.sh
source scripts/verification.sh
source scripts/diagnosis.sh

project=$PWD
# The files and the kubeconfig that the caller names are named from the caller's folder.
cd "$caller_folder" || exit

# In the order of installation.
releases=(postgres database-load order-food)
label_selector="app.kubernetes.io/instance in (postgres, database-load, order-food)"

step="the start"
child='' forwarding=''

deploy_cluster() {
  local release
  check_release_options
  begin_on_cluster
  read_image_option
  deploy_preflight
  if [[ -n $dry_run ]]; then
    plan
    return
  fi
  take_cluster_turn
  start_minikube
  provide_image
  write_values "$image_repository:$image_tag"
  ensure_namespace
  deadline=$((SECONDS + timeout))
  for release in "${releases[@]}"; do install_release "$release"; done
  read_untested
  if ((${#untested[@]} > 0)); then
    place_order
    for release in "${untested[@]}"; do test_release "$release"; done
    show_start
  else
    echo "Nothing has changed: all is installed as wanted, tested and ready"
  fi
  say_how_to_go_on
}

cleanup_cluster() {
  begin_on_cluster
  [[ -z $purge || -z $delete_minikube ]] || fail "--delete-minikube removes all data anyway: leave out --purge-data." 2
  cleanup_preflight
  if [[ -n $delete_minikube ]]; then
    delete_minikube_profile
  elif cluster_is_up; then
    uninstall_all
  else
    finished "$(describe_minikube): nothing to uninstall"
    [[ $minikube_state == missing ]] || echo "What is installed in it stays; ./cleanup.sh --delete-minikube removes all of it"
  fi
}

begin_on_cluster() {
  trap leave EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  folder=$(mktemp -d "${TMPDIR:-/tmp}/order-food-XXXXXX")
  output=$folder/output
  choose_cluster
}

# Never the current context: each call of kubectl and helm is made through these, and names the cluster.
choose_cluster() {
  [[ -z $context || -z $profile || $context == "$profile" ]] ||
    fail "--context $context and --profile $profile are two clusters: the context of a minikube profile has the profile's name, so one of the two is enough." 2
  context_is_named=$context
  context=${context:-${profile:-minikube}}
  # These would lead helm to another cluster than the context's.
  unset "${!HELM_KUBE@}"
  kubectl=(kubectl --context "$context" --namespace "$namespace")
  helm=("${HELM:-helm}" --kube-context "$context" --namespace "$namespace")
  minikube=(minikube --profile "$context")
  minikube_state=$(read_minikube_state)
}

# Prints running, stopped, paused or missing; or none where the cluster is not minikube's.
read_minikube_state() {
  local status
  # Its exit code says whether all is well; without such a profile, or a minikube, there is no JSON.
  ! status=$("${minikube[@]}" status --output json 2>&1)
  case $status in
    *'"APIServer":"Running"'*) echo running ;;
    *'"APIServer":"Paused"'*) echo paused ;;
    *'"APIServer":'*) echo stopped ;;
    *) if [[ -n $context_is_named ]]; then echo none; else echo missing; fi ;;
  esac
}

describe_minikube() {
  if [[ $minikube_state == missing ]]; then
    echo "there is no minikube profile $context"
  else
    echo "the minikube profile $context is $minikube_state"
  fi
}

# One run at a time for each namespace of each cluster. The file says what a killed run was at.
take_cluster_turn() {
  local cache=${XDG_CACHE_HOME:-$HOME/.cache}/order-food
  mkdir -p "$cache"
  lock_file=$cache/${context//[^A-Za-z0-9._-]/_}.${namespace}.lock
  take_turn "$lock_file" "another deploy.sh or cleanup.sh at work on $context, namespace $namespace"
  interrupted=$(cat "$lock_file")
  step_began=$(milliseconds)
}

# quietly COMMAND...: what the command says is in $output, or on the screen with --verbose. It runs in the background,
# since bash answers a signal only after a command in the foreground has ended.
quietly() {
  local code=0
  in_background "$@"
  wait "$child" || code=$?
  child=
  return "$code"
}

in_background() {
  if [[ -n $verbose ]]; then
    "$@" </dev/null &
  else
    "$@" </dev/null >"$output" 2>&1 &
  fi
  child=$!
}

show_output() {
  [[ -n $verbose || ! -s $output ]] || indent <"$output" >&2
}

start_minikube() {
  local options=()
  step="starting minikube"
  [[ $minikube_state == missing || $minikube_state == stopped ]] || return 0
  # Whoever works with another cluster stays there.
  ! "${kubectl[@]}" config current-context >/dev/null 2>&1 || options+=(--keep-context)
  echo "Starting minikube; the first time this takes minutes ..."
  quietly "${minikube[@]}" start ${options[@]+"${options[@]}"} 9>&- || {
    show_output
    fail_at "minikube could not be started: mend what it says above, or see: minikube logs --profile $context"
  }
  minikube_state=running
  finished "minikube runs (profile $context)"
  check_cluster
  report_problems
}

ensure_namespace() {
  local answer
  step="the namespace $namespace"
  answer=$("${kubectl[@]}" get namespace "$namespace" --output name 2>&1) || {
    # Whoever may not look at namespaces has been given one.
    [[ $answer == *NotFound* ]] || return 0
    quietly "${kubectl[@]}" create namespace "$namespace" || {
      show_output
      fail_at "it could not be created."
    }
    finished "the namespace $namespace is created"
  }
}

uninstall_all() {
  local release
  step="reading what is there"
  list_kept >"$folder/kept" 2>"$output" || {
    show_output
    fail_at "kubectl cannot list what is in namespace $namespace of $context."
  }
  if [[ -n $purge && -s $folder/kept && -z $dry_run ]]; then
    echo "These hold the data of the database, and what goes with it:"
    indent <"$folder/kept"
    confirm "Remove them for good, from namespace $namespace of $context?"
  fi
  [[ -n $dry_run ]] || take_cluster_turn
  for release in order-food database-load postgres; do uninstall_release "$release"; done
  list_kept >"$folder/kept"
  if [[ ! -s $folder/kept ]]; then
    echo "Nothing of order-food is left in namespace $namespace of $context"
  elif [[ -n $dry_run ]]; then
    if [[ -n $purge ]]; then echo "These would be removed, with all data of the database:"; else echo "These would stay:"; fi
    indent <"$folder/kept"
  elif [[ -n $purge ]]; then
    remove_kept
  else
    echo "These stay, with the data and what goes with it; ./deploy.sh uses them again:"
    indent <"$folder/kept"
    echo "./cleanup.sh --purge-data removes them"
  fi
}

# What the charts keep when they are uninstalled: by label, by who made it, and by the mark itself.
list_kept() {
  "${kubectl[@]}" get persistentvolumeclaims,secrets,configmaps --selector "$label_selector" --output go-template='
    {{- range .items}}
      {{- $object := printf "%s/%s\n" .kind .metadata.name}}
      {{- with .metadata.annotations}}
        {{- $release := index . "meta.helm.sh/release-name"}}
        {{- $ours := or (eq $release "postgres") (eq $release "database-load") (eq $release "order-food")}}
        {{- if and $ours (eq (index . "helm.sh/resource-policy") "keep")}}{{$object}}{{end}}
      {{- end}}
    {{- end}}'
}

remove_kept() {
  local object
  step="removing the data"
  while IFS= read -r object; do
    quietly "${kubectl[@]}" delete "$object" --ignore-not-found --wait --timeout "${timeout}s" || {
      show_output
      fail_at "$object could not be removed: see what still uses it with $(command_line describe "$object")"
    }
    finished "$object is removed"
  done <"$folder/kept"
}

delete_minikube_profile() {
  step="deleting minikube"
  if [[ $minikube_state == missing ]]; then
    finished "$(describe_minikube)"
  elif [[ -n $dry_run ]]; then
    echo "The minikube profile $context would be deleted, with all that is in it"
  else
    confirm "Delete the minikube profile $context with all that is in it, the data too?"
    quietly "${minikube[@]}" delete 9>&- || {
      show_output
      fail_at "the profile $context could not be deleted: mend what it says above, then run this again."
    }
    finished "the minikube profile $context is deleted"
  fi
}

# command_line ARGUMENT...: the kubectl command, as people may type it.
command_line() {
  echo "kubectl --context $context --namespace $namespace $*"
}

say_how_to_go_on() {
  local cleanup=./cleanup.sh
  [[ $context == minikube ]] || cleanup+=" --context $context"
  [[ $namespace == default ]] || cleanup+=" --namespace $namespace"
  find_key
  cat <<END

order-food is ready in namespace $namespace of $context; try it:

  $(command_line port-forward service/order-food 8080:8080)
  key=\$($(command_line get secret "$key_secret" --output "go-template='$key_template'"))
  curl http://127.0.0.1:8080/api/product
  curl http://127.0.0.1:8080/api/order --header "api_key: \$key" --header 'Content-Type: application/json' --data '{"items":[{"productId":"1","quantity":2}]}'

Logs: $(command_line logs --selector app.kubernetes.io/name=order-food --container database-migration)
Database: $(command_line exec -it deployment/postgres -- psql -U postgres -d orderfood)
Stop: $cleanup (the data stays)
END
}

# fail_at MESSAGE: ends the run with the step's name; what is to be seen has been shown.
fail_at() {
  fail "$step: $1"
}

leave() {
  local code=$? process
  trap '' INT TERM
  for process in $child $forwarding; do
    ! kill -TERM "$process" 2>/dev/null || ! wait "$process"
  done
  [[ -z ${folder:-} ]] || rm -rf "$folder"
  case $code:$explained in
    0:* | *:yes) ;;
    130:* | 143:*) echo "✗ $step: interrupted; run this again to go on from here." >&2 ;;
    *) echo "✗ $step: ended with exit code $code, which was not foreseen; run this again with --verbose." >&2 ;;
  esac
}
