# shellcheck shell=bash
# shellcheck disable=SC2016,SC2154 # Variables are shared with cluster.sh; a go-template's $ is not the shell's.
# Sourced by cluster.sh: what one needs to see when something does not come up.

# diagnose RELEASE: to standard error, and bounded. The run ends with it, so what fails here is left out.
diagnose() {
  set +e
  {
    title "release $1"
    "${helm[@]}" status "$1" 2>&1 | sed '/^NOTES:/,$d' | head -n 15
    title "pods"
    "${kubectl[@]}" get pods --selector "$label_selector" --output wide 2>&1
    title "volumes"
    "${kubectl[@]}" get persistentvolumeclaims --selector "$label_selector" 2>&1
    title "last events"
    "${kubectl[@]}" events 2>&1 | tail -n 25
    pods_not_ready | while read -r pod; do
      title "pod $pod"
      "${kubectl[@]}" describe pod "$pod" </dev/null 2>&1 | sed '/^Events:/,$d' | hide_passwords | head -n 120
      show_logs "$pod" </dev/null
    done
  } >&2
}

title() {
  printf '\n--- %s\n' "$1"
}

# The newest two of each name: replicas fail alike.
pods_not_ready() {
  "${kubectl[@]}" get pods --selector "$label_selector" --sort-by .metadata.creationTimestamp --output go-template='
    {{- range .items}}
      {{- $ready := "False"}}
      {{- range .status.conditions}}{{if eq .type "Ready"}}{{$ready = .status}}{{end}}{{end}}
      {{- if and (ne $ready "True") (ne .status.phase "Succeeded")}}
        {{- index .metadata.labels "app.kubernetes.io/name"}} {{.metadata.name}}{{"\n"}}
      {{- end}}
    {{- end}}' |
    awk '
      { names[NR] = $1; pods[NR] = $2 }
      END { for (number = NR; number > 0; number--) if (++seen[names[number]] <= 2) print pods[number] }'
}

# Those that are variables of a container as they stand.
hide_passwords() {
  sed -E 's/^( *[A-Z_]*(PASSWORD|API_KEY|DATABASE_URL)):.*/\1: (not shown)/'
}

# show_logs POD: of each container, init containers first, before its last restart and now.
show_logs() {
  local container restarts id before now
  while read -r container restarts id; do
    before='' now=''
    if [[ $id == *://* ]]; then
      now=$("${kubectl[@]}" logs "$1" --container "$container" --tail 25 2>&1)
      ((restarts == 0)) || before=$("${kubectl[@]}" logs "$1" --container "$container" --previous --tail 25 2>&1)
    else
      now="(has not run)"
    fi
    if [[ -n $before && $before != "$now" ]]; then
      title "pod $1, container $container, before its last restart"
      echo "$before"
    fi
    title "pod $1, container $container, last run"
    echo "$now"
  done < <("${kubectl[@]}" get pod "$1" --output go-template='
    {{- range .status.initContainerStatuses}}{{.name}} {{.restartCount}} {{.containerID}}{{"\n"}}{{end}}
    {{- range .status.containerStatuses}}{{.name}} {{.restartCount}} {{.containerID}}{{"\n"}}{{end}}')
  echo
}
