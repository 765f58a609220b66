# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2154 # Variables are shared with cluster.sh; a go-template's $ is not the shell's.
# Sourced by cluster.sh: what has to be there before anything is changed. All problems are reported at once.

problems=()
found=''

problem() {
  problems+=("$1")
}

report_problems() {
  local text
  ((${#problems[@]} > 0)) || return 0
  for text in "${problems[@]}"; do printf '✗ %s\n' "$text" >&2; done
  fail "Nothing was done: mend what is said above (problems: ${#problems[@]}), then run this again." 2
}

deploy_preflight() {
  step="preflight"
  check_kubectl
  check_helm
  [[ -n $skip_build ]] || check_docker
  check_minikube
  check_image_options
  ! is_found helm || check_values
  ! is_found kubectl || ! cluster_is_up || check_cluster
  report_problems
  finished "preflight: context $context, namespace $namespace$found"
}

cleanup_preflight() {
  step="preflight"
  check_minikube
  [[ -z $delete_minikube || $minikube_state != none ]] ||
    problem "$context is no minikube profile, so there is none to delete: leave out --delete-minikube"
  if [[ -z $delete_minikube ]] && cluster_is_up; then
    check_kubectl
    check_helm
    ! is_found kubectl || check_context || report_problems
  fi
  report_problems
}

# at_least MAJOR.MINOR VERSION
at_least() {
  [[ $2 =~ ^v?([0-9]+)\.([0-9]+) ]] &&
    ((BASH_REMATCH[1] > ${1%.*} || (BASH_REMATCH[1] == ${1%.*} && 10#${BASH_REMATCH[2]} >= ${1#*.})))
}

# check_tool NAME MINIMUM WHERE COMMAND...: COMMAND prints the version.
check_tool() {
  local name=$1 minimum=$2 where=$3 version
  shift 3
  if ! command -v "$1" >/dev/null; then
    problem "$name is missing: install $minimum or newer, see $where"
    return
  fi
  if ! version=$("$@" 2>&1); then
    problem "$name does not run; it says: ${version##*$'\n'}"
    return
  fi
  # kubectl wraps its version up in JSON.
  [[ ! $version =~ \"gitVersion\":\ *\"(v[^\"]*)\" ]] || version=${BASH_REMATCH[1]}
  if at_least "$minimum" "$version"; then
    found+=", $name ${version#v}"
  else
    problem "$name ${version#v} is too old: install $minimum or newer, see $where"
  fi
}

# Whether check_tool was content with it.
is_found() {
  [[ $found == *", $1 "* ]]
}

check_kubectl() {
  check_tool kubectl 1.29 https://kubernetes.io/docs/tasks/tools/ "${kubectl[@]}" version --client --output json
}

check_helm() {
  check_tool helm 3.13 https://helm.sh/docs/intro/install/ "${helm[@]}" version --short
}

check_docker() {
  local version
  if ! command -v docker >/dev/null; then
    problem "docker is missing: install 20.10 or newer, see https://docs.docker.com/get-started/get-docker/, or use an image that is there with --skip-build"
  elif version=$(docker version --format '{{.Server.Version}}' 2>&1); then
    at_least 20.10 "$version" || problem "Docker $version is too old: install 20.10 or newer"
    found+=", docker $version"
  elif [[ $version == *'permission denied'* ]]; then
    problem "You may not use Docker: become a member of the group that owns its socket (usually docker) and log in again; it says: ${version##*$'\n'}"
  else
    problem "Docker does not answer: start it; it says: ${version##*$'\n'}"
  fi
}

check_minikube() {
  case $minikube_state in
    none) ;;
    paused) problem "The minikube profile $context is paused: minikube unpause --profile $context" ;;
    *)
      check_tool minikube 1.33 "https://minikube.sigs.k8s.io/docs/start/, or say which cluster is meant with --context NAME" \
        "${minikube[@]}" version --short
      ;;
  esac
}

check_image_options() {
  if [[ -n $image_tag && -z $skip_build ]]; then
    problem "--image names the tag $image_tag, but the tag of a new image follows from its content: leave it out, or use the image that has it with --skip-build"
  fi
  if [[ $minikube_state == none && -z $image_loader && -z $skip_build ]]; then
    problem "$context is no minikube profile, so say how its nodes get the image: --image-loader 'kind load docker-image', or --image REGISTRY/order-food --image-loader 'docker push'; --skip-build if they have it"
  fi
}

# Rendering needs no cluster and finds what a chart says about its values. The cluster's version is checked by itself.
check_values() {
  local release
  write_values "$image_repository:${image_tag:-unknown}"
  for release in "${releases[@]}"; do
    read_chart_arguments "$release"
    "${helm[@]}" template "$release" "${chart_arguments[@]}" --kube-version 1.30.0 \
      >"$folder/$release.yaml" 2>"$output" ||
      problem "The chart $release refuses its values: $(grep -v '^ *$' "$output" | paste -sd' ' -)"
  done
}

cluster_is_up() {
  [[ $minikube_state == running || $minikube_state == none ]]
}

check_cluster() {
  check_context || return 0
  check_permissions
  check_nodes
  check_storage
}

# Whether there is such a context, and its cluster answers.
check_context() {
  local contexts answer version
  if ! contexts=$("${kubectl[@]}" config get-contexts --output name 2>&1); then
    problem "kubectl cannot read its configuration; it says: ${contexts##*$'\n'}"
    return 1
  fi
  if ! grep -qxF -- "$context" <<<"$contexts"; then
    problem "kubectl has no context $context, only: $(paste -sd' ' - <<<"${contexts:-none}"); $(how_to_get_context)"
    return 1
  fi
  if ! answer=$("${kubectl[@]}" get --raw /version --request-timeout 15s 2>&1); then
    problem "The cluster of context $context does not answer; kubectl says: ${answer##*$'\n'}"
    return 1
  fi
  version=$(sed -n 's/.*"gitVersion": *"v\([^"]*\)".*/\1/p' <<<"$answer")
  at_least 1.30 "$version" || problem "The cluster of context $context has Kubernetes $version; the charts need 1.30 or newer"
  found+=", Kubernetes $version"
}

how_to_get_context() {
  if [[ $minikube_state == running ]]; then
    echo "write it with: minikube update-context --profile $context"
  else
    echo "name one of these with --context, or set KUBECONFIG"
  fi
}

# One request asks for all; whoever may not even ask is told by helm later.
check_permissions() {
  local group resource subresource denied
  while IFS=/ read -r group resource subresource; do
    cat <<END
---
apiVersion: authorization.k8s.io/v1
kind: SelfSubjectAccessReview
spec:
  resourceAttributes:
    {namespace: "$namespace", verb: create, group: "$group", resource: $resource, subresource: "$subresource"}
END
  done >"$folder/reviews.yaml" <<'END'
apps/deployments
batch/cronjobs
networking.k8s.io/networkpolicies
/configmaps
/persistentvolumeclaims
/pods
/pods/portforward
/secrets
/serviceaccounts
/services
END
  denied=$("${kubectl[@]}" create --validate=false --filename "$folder/reviews.yaml" --output go-template='
    {{- if not .status.allowed}}{{with .spec.resourceAttributes}}
      {{- .resource}}{{with .subresource}}/{{.}}{{end}}{{"\n"}}
    {{- end}}{{end}}' 2>/dev/null) || return 0
  denied=$(paste -sd, - <<<"$denied")
  [[ -z $denied ]] ||
    problem "You may not create these in namespace $namespace of $context: ${denied//,/, }; ask for the ClusterRole edit in that namespace"
}

# Whoever may not see the nodes or the storage classes cannot be told about them here.
check_nodes() {
  local nodes
  nodes=$("${kubectl[@]}" get nodes --output go-template='
    {{- range .items}}
      {{- $name := .metadata.name}}
      {{- if not .spec.unschedulable}}
        {{- range .status.conditions}}{{if and (eq .type "Ready") (eq .status "True")}}{{$name}} {{end}}{{end}}
      {{- end}}
    {{- end}}' 2>/dev/null) || return 0
  [[ -n $nodes ]] || problem "No node of $context is ready to run pods: see $(command_line get nodes)"
}

check_storage() {
  local classes
  grep -q '^kind: PersistentVolumeClaim' "$folder/postgres.yaml" 2>/dev/null || return 0
  ! grep -q '^ *storageClassName:' "$folder/postgres.yaml" || return 0
  ! "${kubectl[@]}" get persistentvolumeclaim postgres-pvc >/dev/null 2>&1 || return 0
  classes=$("${kubectl[@]}" get storageclasses --output go-template='
    {{- range .items}}
      {{- with .metadata.annotations}}{{index . "storageclass.kubernetes.io/is-default-class"}} {{end}}
    {{- end}}' 2>/dev/null) || return 0
  [[ $classes != *true* ]] || return 0
  if [[ $minikube_state == none ]]; then
    problem "$context has no default StorageClass for the data: name one with --set postgres:persistence.storageClass=NAME"
  else
    problem "$context has no default StorageClass for the data: minikube addons enable default-storageclass --profile $context"
  fi
}
