# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2154 # Variables are shared with cluster.sh; a go-template's $ is not the shell's.
# Sourced by cluster.sh: releases of helm, changed only where something differs.

# --values and --set name the release that they are for.
check_release_options() {
  local index option value file
  for ((index = 0; index < ${#release_options[@]}; index += 2)); do
    option=${release_options[index]} value=${release_options[index + 1]} file=${release_options[index + 1]#*:}
    [[ $value == *:?* && " ${releases[*]} " == *" ${value%%:*} "* ]] ||
      fail "$option $value does not begin with a release: write $option RELEASE:..., where RELEASE is one of: ${releases[*]}." 2
    case $option in
      --set) [[ $file == ?*=* ]] || fail "--set $value gives no value: write --set RELEASE:KEY=VALUE." 2 ;;
      --values) [[ $file == *://* || -r $file ]] || fail "--values $value: there is no file $file that can be read." 2 ;;
    esac
  done
}

# write_values IMAGE: our own values, which those of the caller win over.
write_values() {
  local image="{repository: \"${1%:*}\", tag: \"${1##*:}\"}"
  printf 'tests: {image: %s}\n' "$image" >"$folder/postgres.values"
  printf 'image: %s\ndatabase: {existingSecret: postgres}\n' "$image" >"$folder/database-load.values"
  cp "$folder/database-load.values" "$folder/order-food.values"
}

# read_chart_arguments RELEASE: sets chart_arguments to its chart and all its values.
read_chart_arguments() {
  local index
  chart_arguments=("$project/charts/$1" --values "$folder/$1.values")
  for ((index = 0; index < ${#release_options[@]}; index += 2)); do
    [[ ${release_options[index + 1]%%:*} != "$1" ]] ||
      chart_arguments+=("${release_options[index]}" "${release_options[index + 1]#*:}")
  done
}

# read_release RELEASE: sets state, empty where there is none, and revision.
read_release() {
  local list
  state='' revision=0
  list=$("${helm[@]}" list --filter "^$1\$" --deployed --failed --pending --uninstalling \
    --output json 2>"$output") || {
    indent <"$output" >&2
    fail_at "helm cannot list the releases in namespace $namespace of $context."
  }
  [[ $list =~ \"revision\":\"([0-9]+)\".*\"status\":\"([a-z-]+)\" ]] || return 0
  revision=${BASH_REMATCH[1]} state=${BASH_REMATCH[2]}
}

install_release() {
  local release=$1 action=installed
  step="installing $release"
  read_chart_arguments "$release"
  read_release "$release"
  case $state in
    pending-*) settle_pending "$release" ;;
    uninstalling) uninstall_release "$release" && state='' ;;
  esac
  [[ -z $state ]] || action=upgraded
  if [[ $state == deployed ]] && is_as_wanted "$release"; then
    wait_until_ready "$release"
    finished "$release is unchanged (revision $revision)"
    return
  fi
  upgrade "$release" || {
    show_output
    diagnose "$release"
    fail_at "${hopeless:-it is not ready after all that helm says above}. Mend what is shown above and run this again: it goes on from here."
  }
  read_release "$release"
  finished "$release is $action (revision $revision)"
}

time_left() {
  echo $((deadline > SECONDS ? deadline - SECONDS : 1))
}

# upgrade RELEASE: unlike other programs helm holds the lock as well, so that the next run waits for one whose
# deploy.sh was killed. Does not wait for pods that will not start.
upgrade() {
  local code=0 next_look=$((SECONDS + 3)) existing_pods
  hopeless=''
  existing_pods=$("${kubectl[@]}" get pods --output name)
  printf '%s %s\n' "$1" $((revision + 1)) >"$lock_file"
  in_background "${helm[@]}" upgrade --install "$1" "${chart_arguments[@]}" --wait --timeout "$(time_left)s"
  while kill -0 "$child" 2>/dev/null; do
    sleep 0.2
    ((SECONDS >= next_look)) || continue
    next_look=$((SECONDS + 3))
    find_hopeless_pod || continue
    # Told to stop, helm records that the release has failed.
    ! kill -TERM "$child" 2>/dev/null || break
  done
  wait "$child" || code=$?
  child=
  ((code != 0)) || : >"$lock_file"
  return "$code"
}

# Whether a pod that helm has made cannot start, or has failed three times already; sets hopeless to what is wrong.
find_hopeless_pod() {
  local pod container restarts reason
  while read -r pod container restarts reason; do
    [[ $existing_pods != *"pod/$pod"* ]] || continue
    case $reason in
      ErrImageNeverPull | InvalidImageName | ImagePullBackOff | CreateContainerConfigError)
        hopeless="container $container of pod $pod cannot start ($reason)" ;;
      CrashLoopBackOff) ((restarts < 3)) || hopeless="container $container of pod $pod has failed $restarts times" ;;
    esac
    [[ -z $hopeless ]] || return 0
  done < <("${kubectl[@]}" get pods --selector "$label_selector" --output go-template='
    {{- define "container"}}{{.name}} {{.restartCount}} {{with .state.waiting}}{{.reason}}{{end}}{{"\n"}}{{end}}
    {{- range .items}}
      {{- $pod := .metadata.name}}
      {{- range .status.initContainerStatuses}}{{$pod}} {{template "container" .}}{{end}}
      {{- range .status.containerStatuses}}{{$pod}} {{template "container" .}}{{end}}
    {{- end}}' 2>/dev/null)
  return 1
}

# settle_pending RELEASE: someone is at it, or was killed while at it. On this machine the lock tells; of another one
# it is known only when nothing has happened for as long as helm may take.
settle_pending() {
  local release=$1 seen=$revision
  if [[ $interrupted != "$release $revision" ]]; then
    echo "Waiting for another helm at work on $release ($state, revision $revision) ..."
    while [[ $state == pending-* && $revision == "$seen" ]] && ((SECONDS < deadline)); do
      sleep 2
      read_release "$release"
    done
    [[ $state == pending-* ]] || return 0
    deadline=$((SECONDS + timeout))
  fi
  [[ ${HELM_DRIVER:-secret} == secret* ]] ||
    fail_at "$release is $state (revision $revision), left by a run that was interrupted: end that with helm rollback or helm uninstall, then run this again."
  # Without its record helm goes on from the revision before, and takes over what the interrupted run has made.
  "${kubectl[@]}" delete secret "sh.helm.release.v1.$release.v$revision" >"$output" 2>&1 || {
    show_output
    fail_at "$release is $state (revision $revision), and the record of that could not be removed."
  }
  finished "$release was left $state (revision $revision) by a run that was interrupted; its record is removed, and this goes on from what is there"
  read_release "$release"
}

# Whether helm would change nothing: the same values, objects, hooks and notes, and the objects are on the cluster so.
is_as_wanted() {
  render "$1" || fail_at "helm cannot render it: mend what it says above, then run this again."
  cmp -s "$folder/installed" "$folder/wanted" && is_on_cluster "$1"
}

# render RELEASE: both what is installed and what is wanted, in the form of `helm get all`. Only an upgrade that is
# tried on the server looks up what it keeps, such as generated passwords.
render() {
  "${helm[@]}" get all "$1" >"$folder/release" 2>"$output" || {
    show_output
    return 1
  }
  from_values_on <"$folder/release" >"$folder/installed"
  "${helm[@]}" upgrade "$1" "${chart_arguments[@]}" --dry-run=server --debug >"$folder/release" 2>"$output" || {
    show_output
    return 1
  }
  from_values_on <"$folder/release" >"$folder/wanted"
}

# Without what is said of the revision, nor the blank lines at the end of a document, where Helm 3 and 4 differ.
from_values_on() {
  awk '
    /^USER-SUPPLIED VALUES:$/ { begun = 1 }
    !begun { next }
    /^ *$/ { blank = blank $0 "\n"; next }
    { if ($0 !~ /^---/ && $0 !~ /^[A-Z -]+:$/) printf "%s", blank; blank = ""; print }'
}

# The name keeps helm's own fields its own: what only another manager has set does not count as a difference.
is_on_cluster() {
  "${helm[@]}" get manifest "$1" |
    "${kubectl[@]}" diff --server-side --force-conflicts --field-manager deploy.sh --filename - \
      >"$folder/difference" 2>&1
}

wait_until_ready() {
  quietly "${kubectl[@]}" rollout status deployment --selector "app.kubernetes.io/instance=$1" \
    --timeout "$(time_left)s" || {
    show_output
    diagnose "$1"
    fail_at "it is installed as wanted, but not ready. Mend what is shown above and run this again."
  }
}

uninstall_release() {
  local release=$1
  step="uninstalling $release"
  read_release "$release"
  if [[ -z $state ]]; then
    finished "$release is not installed"
  elif [[ -n $dry_run ]]; then
    echo "$release (revision $revision) would be uninstalled"
  else
    # Before helm, until the last pod is gone: a second server must not start on the data of the first, the wait of Helm 4.1
    # and newer may end early (helm issue 31766), and the pod of a failed helm test belongs to no release.
    quietly "${kubectl[@]}" delete deployments,cronjobs,jobs,pods \
      --selector "app.kubernetes.io/part-of=order-food, app.kubernetes.io/instance=$release" \
      --cascade=foreground --ignore-not-found --wait --timeout "${timeout}s" || fail_uninstalling "$release"
    quietly "${helm[@]}" uninstall "$release" --ignore-not-found --timeout "${timeout}s" || fail_uninstalling "$release"
    finished "$release is uninstalled"
  fi
}

fail_uninstalling() {
  show_output
  diagnose "$1"
  fail_at "it could not be uninstalled: mend what is said above, then run this again."
}

# plan: what a run would do to the releases, as far as that can be known.
plan() {
  local release
  step="planning"
  if ! cluster_is_up; then
    echo "minikube would be started, since $(describe_minikube)"
    [[ -n $skip_build ]] || echo "The image $image_repository would be built and loaded"
    echo "Then these would be installed, or upgraded where something differs: ${releases[*]}"
    return
  fi
  if [[ -n $skip_build ]]; then
    find_image
  else
    image_tag=$(installed_image)
    image_tag=${image_tag##*:}
    echo "The image $image_repository would be built and brought to the cluster${image_tag:+; a new one shows up as a new tag instead of $image_tag}"
  fi
  write_values "$image_repository:${image_tag:-unknown}"
  for release in "${releases[@]}"; do plan_release "$release"; done
  echo "Nothing was done, since this was a dry run"
}

plan_release() {
  local release=$1 file
  read_chart_arguments "$release"
  read_release "$release"
  if [[ -z $state ]]; then
    echo "$release would be installed:"
    sed -n 's/^kind: //p' "$folder/$release.yaml" | sort | uniq -c | sed 's/^ *//' | indent
    return
  elif [[ $state == pending-* || $state == uninstalling ]]; then
    echo "$release is $state (revision $revision): unless someone is at it, that would be ended and the release installed anew"
    return
  elif is_as_wanted "$release" && [[ $state == deployed ]]; then
    echo "$release would stay unchanged (revision $revision)"
    return
  fi
  echo "$release ($state, revision $revision) would be upgraded:"
  for file in installed wanted; do
    sed -n '/^HOOKS:$/,/^NOTES:$/p' "$folder/$file" | hide_secrets >"$folder/$file.shown"
  done
  if ! diff -u -L installed "$folder/installed.shown" -L wanted "$folder/wanted.shown"; then
    :
  elif [[ -s $folder/difference ]]; then
    cat "$folder/difference"
  else
    echo "  only values, notes or the contents of Secrets differ, which are not shown"
  fi | indent
}

# Replaces the contents of Secrets in a stream of manifests.
hide_secrets() {
  awk '
    function print_document(    number, inside) {
      for (number = 1; number <= count; number++) {
        if (lines[number] ~ /^[^ ]/) inside = secret && lines[number] ~ /^(data|stringData):/
        if (!inside || lines[number] ~ /^[^ ]/) print lines[number]
        else if (lines[number] ~ /^  [^ ]/) { sub(/:.*/, ": (not shown)", lines[number]); print lines[number] }
      }
      count = secret = 0
    }
    /^---/ { print_document() }
    /^kind: Secret *$/ { secret = 1 }
    { lines[++count] = $0 }
    END { print_document() }'
}
