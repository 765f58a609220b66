# Runs in a pod: four clients that ask the API all the time. One line per answer, the status, or what went wrong.
host=$1 port=$2

request() {
  local line=
  { exec 3<>"/dev/tcp/$host/$port"; } 2>/dev/null || { echo "no connection"; return; }
  printf '%s\r\n' "$@" >&3
  IFS= read -r -t 15 line <&3
  cat <&3 >/dev/null
  exec 3>&-
  if [[ $line == 'HTTP/1.1 '* ]]; then echo "${line:9:3}"; else echo "no answer"; fi
}

client() {
  local order='{"items":[{"productId":"1","quantity":1}]}'
  while true; do
    request 'GET /api/product HTTP/1.1' "host: $host" 'connection: close' ''
    request 'POST /api/order HTTP/1.1' "host: $host" 'connection: close' 'api_key: apitest' \
      'content-type: application/json' "content-length: ${#order}" '' "$order"
    sleep 0.05
  done
}

for _ in 1 2 3 4; do client & done
wait
