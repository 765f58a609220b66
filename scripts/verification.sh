# shellcheck shell=bash
# shellcheck disable=SC2016,SC2034,SC2154 # Variables are shared with cluster.sh; a go-template's $ is not the shell's.
# Sourced by cluster.sh: whether what is installed works, tried as its users would.

# The releases whose tests have not passed since they were changed; helm keeps that with each revision.
read_untested() {
  local release phases
  step="reading what is tested"
  untested=()
  for release in "${releases[@]}"; do
    phases=$("${helm[@]}" status "$release" | sed -n 's/^Phase: *//p')
    [[ $phases == Succeeded ]] || untested+=("$release")
  done
}

test_release() {
  local release=$1
  step="testing $release"
  quietly "${helm[@]}" test "$release" --timeout "${timeout}s" || {
    show_output
    diagnose "$release"
    fail_at "helm test failed. What the test said is above; run it alone with: helm test $release --kube-context $context --namespace $namespace --logs"
  }
  finished "$release passes its test"
}

# Orders through the API, as a client of the cluster's would. Its answers are in status and body.
place_order() {
  local port key product
  step="placing an order"
  read_api_pods
  forward_port
  request GET /api/product
  [[ $status == 200 && $body =~ \"id\":\ *\"([^\"]+)\" ]] ||
    fail_order "GET /api/product was answered with $status: ${body:0:300}"
  product=${BASH_REMATCH[1]}
  read_key
  request POST /api/order "api_key: $key"$'\r\nContent-Type: application/json\r\n' \
    "{\"items\":[{\"productId\":\"$product\",\"quantity\":2}]}"
  [[ $status == 200 ]] || fail_order "POST /api/order was answered with $status: ${body:0:300}"
  end_forwarding
  finished "an order was placed through the API"
  indent <<<"${body//$'\n'/ }"
}

fail_order() {
  diagnose order-food
  fail_at "$1"
}

# Sets api_pods to those that are ready, the oldest first.
read_api_pods() {
  local names
  names=$("${kubectl[@]}" get pods --selector app.kubernetes.io/name=order-food,app.kubernetes.io/instance=order-food \
    --sort-by .metadata.creationTimestamp --output go-template='
    {{- range .items}}
      {{- $name := .metadata.name}}
      {{- if not .metadata.deletionTimestamp}}
        {{- range .status.conditions}}{{if and (eq .type "Ready") (eq .status "True")}}{{$name}} {{end}}{{end}}
      {{- end}}
    {{- end}}')
  read -r -a api_pods <<<"$names"
  ((${#api_pods[@]} > 0)) || fail_order "no pod of order-food is ready"
}

# Any free port of this machine will do; kubectl chooses it and says which.
forward_port() {
  local log=$folder/port-forward limit=$((SECONDS + 20))
  : >"$log"
  "${kubectl[@]}" port-forward "pod/${api_pods[0]}" :8080 </dev/null >"$log" 2>&1 9>&- &
  forwarding=$!
  until port=$(sed -n 's/^Forwarding from 127\.0\.0\.1:\([0-9]*\) .*/\1/p' "$log") && [[ -n $port ]]; do
    if ! kill -0 "$forwarding" 2>/dev/null || ((SECONDS > limit)); then
      indent <"$log" >&2
      fail_order "kubectl port-forward to pod ${api_pods[0]} failed"
    fi
    sleep 0.1
  done
}

end_forwarding() {
  kill "$forwarding"
  ! wait "$forwarding" 2>/dev/null
  forwarding=
}

# request METHOD PATH [HEADERS [BODY]]: each header ends with CR LF.
request() {
  local answer='' length
  # Bytes, not characters.
  length=$(printf %s "${4-}" | wc -c)
  exec 8<>"/dev/tcp/127.0.0.1/$port"
  printf '%s %s HTTP/1.0\r\nHost: order-food\r\nContent-Length: %d\r\n%s\r\n%s' "$1" "$2" "$length" "${3-}" "${4-}" >&8
  # Reads to the end, where read fails.
  ! IFS= read -r -d '' -t 20 answer <&8
  exec 8>&-
  status=none body=$answer
  [[ $answer =~ ^HTTP/1\.[01]\ ([0-9]+) ]] || return 0
  status=${BASH_REMATCH[1]} body=${answer#*$'\r\n\r\n'}
}

# The key that the API uses: in a variable, or in the Secret that it mounts. Never shown, nor an argument of a program.
read_key() {
  key=$("${kubectl[@]}" get pod "${api_pods[0]}" \
    --output jsonpath='{.spec.containers[?(@.name=="order-food")].env[?(@.name=="API_KEY")].value}')
  [[ -z $key ]] || return 0
  find_key
  key=$("${kubectl[@]}" get secret "$key_secret" --output go-template="$key_template")
}

# Sets key_secret to the Secret's name, and key_template to what shows the key in it.
find_key() {
  local entry
  read -r key_secret entry < <("${kubectl[@]}" get deployment order-food --output go-template='
    {{- range .spec.template.spec.volumes}}
      {{- if eq .name "api-key"}}{{.secret.secretName}} {{(index .secret.items 0).key}}{{"\n"}}{{end}}
    {{- end}}')
  key_template="{{index .data \"$entry\" | base64decode}}"
}

# What has happened at the start, init container by init container: each in the pod where it did most, since replicas that
# start together share the work.
show_start() {
  local pod container log changes told most shown pods=()
  step="reading what happened"
  echo "What happened at the start:"
  for container in $("${kubectl[@]}" get pod "${api_pods[0]}" --output jsonpath='{.spec.initContainers[*].name}'); do
    most=-1
    for pod in "${api_pods[@]}"; do
      log=$("${kubectl[@]}" logs "$pod" --container "$container" | sed -n 's/.*✓/  ✓/p')
      # grep fails where there are none.
      changes=$(grep --count --extended-regexp ' (applied|loaded)[ :]' <<<"$log") || true
      ((changes <= most)) || told=$log most=$changes shown=$pod
    done
    indent <<<"$container in pod $shown:"$'\n'"$told"
    [[ " ${pods[*]} " == *" $shown "* ]] || pods+=("$shown")
  done
  for pod in "${pods[@]}"; do show_trace "$pod"; done
}

show_trace() {
  local uid endpoint
  read -r uid endpoint < <("${kubectl[@]}" get pod "$1" \
    --output jsonpath='{.metadata.uid} {.spec.containers[0].env[?(@.name=="OTEL_EXPORTER_OTLP_ENDPOINT")].value}{"\n"}')
  [[ -z $endpoint ]] || echo "  trace ${uid//-/} of pod $1, sent to $endpoint"
}
