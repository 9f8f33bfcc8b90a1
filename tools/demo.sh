#!/bin/sh
# Shows hark's main job: real curl, real TLS server, offline, as an ordinary user. The server is stopped at the end.
set -eu
dir=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$dir"' EXIT INT TERM
chmod 755 "$dir"
"$HARK_VENV/bin/python" tools/demo_server.py "$dir" >"$dir/port" &
server=$!
for _ in $(seq 200); do [ -s "$dir/port" ] && break; sleep 0.05; done
port=$(cat "$dir/port")
[ -n "$port" ] || { echo 'demo: the server did not start' >&2; exit 1; }
hark="${HARK_AS:+$HARK_AS }$HARK_VENV/bin/hark"
cd /
show() { printf '\n\033[1m$ hark %s\033[0m\n' "$*"; $hark "$@"; }
show curl -sk "https://localhost:$port/greeting?name=you"
show -v curl -sk --http1.1 -d '{"order": 23}' -H 'Content-Type: application/json' "https://localhost:$port/orders"
show -vv curl -sk --compressed "https://localhost:$port/items.json"
show sh -c "curl -sk https://localhost:$port/a https://localhost:$port/b & curl -sk https://localhost:$port/missing; wait"
show -q --summary --waterfall sh -c "curl -sk https://localhost:$port/a https://localhost:$port/missing https://localhost:$port/a"
show --curl --redact curl -sk -H 'Authorization: Bearer 23-42-tea' -d 'tea=yes' "https://localhost:$port/orders"
