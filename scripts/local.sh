# shellcheck shell=bash
# Sourced by deploy.sh and cleanup.sh in the project's folder: the whole system on this machine, without a cluster.

source scripts/messages.sh
source scripts/processes.sh
source scripts/random.sh
source scripts/turn.sh

state=.local
data=$state/postgres/data
password_file=$state/postgres/password
api_log=$state/order-food.log
api_pid_file=$state/order-food.pid
api_settings_file=$state/order-food.settings
target=${CARGO_TARGET_DIR:-target}
programs=$target/debug

# The key of the API is the documented one unless set, so other machines are kept out unless asked for.
export PORT=${PORT:-8080} LISTEN_ADDRESS=${LISTEN_ADDRESS:-127.0.0.1}
api_address=http://127.0.0.1:$PORT

# What this call has started, and has to stop when it fails.
server_is_ours=
api_is_ours=

# deploy_local DETACH VERBOSE: empty means no.
deploy_local() {
  detach=$1 verbose=$2
  trap leave EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
  check_requirements
  mkdir -p "$state"
  # All three programs belong to one trace, the caller's if there is one.
  export TRACEPARENT=${TRACEPARENT:-00-$(random_hex 16)-$(random_hex 8)-01}
  take_turn "$state/lock" "another deploy.sh in this folder"
  # What is started does not get the lock, which would live on in it.
  bring_up 9>&-
  exec 9>&-
  say_how_to_go_on
  if stays; then stay; else trap - EXIT; fi
}

bring_up() {
  start_server
  build
  run_program database-migration
  run_program database-load
  start_api
}

# cleanup_local PURGE: empty keeps the data.
cleanup_local() {
  if api_pid=$(running_api); then stop_api; else finished "order-food does not run"; fi
  stop_server
  if [[ -n $1 ]]; then
    rm -rf "$state"
    finished "$state is removed, with the data"
  elif [[ -e $data ]]; then
    echo "The data is kept in $data; ./cleanup.sh --local --purge-data removes it"
  fi
}

check_requirements() {
  command -v cargo >/dev/null || fail "cargo, which builds the programs, is missing: install Rust from https://rustup.rs, then run this again."
  running_api >/dev/null || require_free_port
}

require_free_port() {
  ! (exec 3<>"/dev/tcp/127.0.0.1/$PORT") 2>/dev/null ||
    fail "Port $PORT, meant for order-food, is in use by another program: choose another port, for example PORT=$((PORT + 1)) ./deploy.sh --local"
}

start_server() {
  local line port
  if [[ -n ${DATABASE_URL:-} ]]; then
    finished "The database is that of DATABASE_URL, no server is started"
    return
  fi
  line=$(scripts/postgres-server start "$data" "${LOCAL_DB_PORT:-54329}" "$password_file" orderfood)
  [[ $line == *' already runs '* ]] || server_is_ours=yes
  finished "$line"
  read -r _ _ port < <(scripts/postgres-server status "$data")
  # Everything that names a server or how to get into it, so that nothing of the caller's leads elsewhere.
  unset DATABASE_URL DB_USERNAME DB_PASSWORD DB_SSLROOTCERT
  export DB_HOST=127.0.0.1 DB_PORT="$port" DB_USER=postgres DB_PASSWORD_FILE="$PWD/$password_file" DB_NAME=orderfood DB_SSLMODE=disable
}

stop_server() {
  local line
  line=$(scripts/postgres-server stop "$data")
  finished "$line"
}

build() {
  local code=0
  local command=(cargo build --locked --target-dir "$target" --package database-migration --package database-load --package order-food)
  [[ -t 2 || -n $verbose ]] || command+=(--quiet)
  [[ -e $programs/order-food ]] || echo "Building the programs; the first time this takes minutes ..."
  "${command[@]}" || code=$?
  ((code == 0)) || fail "The programs could not be built: mend what cargo says above, then run this again." "$code"
  finished "The programs are built"
}

run_program() {
  local code=0
  "$programs/$1" </dev/null 2>&1 | indent || code=$?
  ((code == 0)) || fail "$1 failed with exit code $code: mend what it says above, then run this again." "$code"
  finished "$1 has run"
}

# Prints the process id of order-food, or fails if it does not run.
running_api() {
  local pid
  pid=$(cat "$api_pid_file" 2>/dev/null) && is_program "$pid" order-food . && echo "$pid"
}

start_api() {
  if api_pid=$(running_api); then
    if api_is_current && api_is_ready; then
      finished "order-food already runs on $api_address (process $api_pid)"
      return
    fi
    stop_api
  fi
  require_free_port
  run_api &
  api_pid=$!
  api_is_ours=yes
  wait_for_api
  echo "$api_pid" >"$api_pid_file"
  api_settings >"$api_settings_file"
  finished "order-food runs on $api_address (process $api_pid)"
}

run_api() {
  [[ -z $detach ]] || exec >"$api_log" 2>&1
  in_own_session "$programs/order-food" </dev/null
}

wait_for_api() {
  local deadline=$((SECONDS + 30)) code=0
  until api_is_ready; do
    if ! kill -0 "$api_pid" 2>/dev/null; then
      wait "$api_pid" || code=$?
      fail_api "order-food ended with exit code $code before it was ready" "$code"
    fi
    ((SECONDS < deadline)) || fail_api "order-food was not ready within 30 s: GET $api_address/ready did not answer 200" 1
    sleep 0.1
  done
}

# fail_api WHAT EXIT_CODE: without --detach the log has been shown all along.
fail_api() {
  [[ -z $detach ]] || tail -n 20 "$api_log" | indent >&2
  fail "$1; mend what its last lines above say, then run this again." "$(($2 ? $2 : 1))"
}

api_is_ready() (
  { exec 3<>"/dev/tcp/127.0.0.1/$PORT"; } 2>/dev/null || return 1
  printf 'GET /ready HTTP/1.0\r\n\r\n' >&3
  # All of the answer: a connection closed before its end would show in the log. At that end, read fails.
  read -r -d '' -t 2 answer <&3
  [[ $answer == HTTP/1.?\ 200* ]]
)

# Whether what runs is the program as it is now built, with the settings as they are now.
api_is_current() {
  [[ ! $programs/order-food -nt $api_pid_file && $(cat "$api_settings_file") == "$(api_settings)" ]]
}

# A checksum, since there are secrets among them.
api_settings() {
  env | grep -E '^(API_KEY|DATABASE_URL|DB_|DRAIN_|LISTEN_|LOG_|OTEL_|PORT=|REQUEST_)' | sort | cksum
}

# Without its number in the file first, a deploy.sh that stays with order-food knows that this is meant.
stop_api() {
  rm -f "$api_pid_file"
  end_program TERM "$api_pid" order-food . ||
    fail "order-food, process $api_pid, has not stopped within 60 s: end it with kill -KILL $api_pid, then run this again."
  finished "order-food, process $api_pid, is stopped"
}

stays() {
  [[ -z $detach && -n $api_is_ours ]]
}

# Ctrl-C or SIGTERM is how this is meant to end; leave() does the rest.
stay() {
  local code=0
  [[ -n ${DATABASE_URL:-} ]] || server_is_ours=yes
  trap 'exit 0' INT TERM
  wait "$api_pid" || code=$?
  if [[ $(cat "$api_pid_file" 2>/dev/null) != "$api_pid" ]]; then
    trap - EXIT
    echo "Another deploy.sh or cleanup.sh has stopped order-food"
  else
    fail_api "order-food ended by itself with exit code $code" "$code"
  fi
}

leave() {
  local code=$?
  trap '' INT TERM
  step_began=$(milliseconds)
  # After a failure its message is the last word.
  ((code == 0)) || exec >/dev/null
  if [[ -n $api_is_ours ]] && kill -0 "$api_pid" 2>/dev/null; then stop_api; fi
  [[ -z $server_is_ours ]] || stop_server
}

say_how_to_go_on() {
  local key=apitest stop='./cleanup.sh --local' trace='set OTEL_EXPORTER_OTLP_ENDPOINT to have this start as one trace'
  # Printed as they are, for the reader's own shell to fill in.
  # shellcheck disable=SC2016
  if [[ -n ${API_KEY_FILE:-} ]]; then key='$(cat "$API_KEY_FILE")'; elif [[ -n ${API_KEY:-} ]]; then key='$API_KEY'; fi
  ! stays || stop='Ctrl-C'
  [[ -z ${OTEL_EXPORTER_OTLP_ENDPOINT:-} ]] || trace="${TRACEPARENT:3:32}, sent to $OTEL_EXPORTER_OTLP_ENDPOINT"
  cat <<END

order-food answers on $api_address; try it:

  curl $api_address/api/product
  curl $api_address/api/product/1
  curl $api_address/api/order --header "api_key: $key" --header 'Content-Type: application/json' --data '{"items":[{"productId":"1","quantity":2}]}'

Stop: $stop (the data stays)
Trace: $trace
END
}
