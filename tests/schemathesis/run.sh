#!/usr/bin/env bash
# Lets schemathesis look for a server error, or an answer that the served description does not know.
#
#   tests/schemathesis/run.sh [examples]     builds, starts, runs; 60 examples a route unless said
#
# Exit codes: 0 nothing was found, or skipped because schemathesis could not be had; 1 something was found.
set -euo pipefail

readonly TOOL="schemathesis==4.32.5"
readonly EXAMPLES="${1:-60}"
# What it must never find. That a request with a field too much or of another type is refused is tested by
# name elsewhere; here empty texts count as absent, on purpose, which the tool would call accepted nonsense.
readonly CHECKS="not_a_server_error,status_code_conformance,content_type_conformance,response_headers_conformance,response_schema_conformance"

cd "$(dirname "$0")/../.."
folder="$(mktemp -d)"
server=""
end() {
    if [[ -n $server ]]; then kill "$server" 2>/dev/null || true; wait "$server" 2>/dev/null || true; fi
    rm -rf "$folder"
}
trap end EXIT
skip() {
    echo "skipped: $1"
    exit 0
}

command -v python3 >/dev/null || skip "python3 is not installed"
python3 -m venv "$folder/venv" 2>/dev/null || skip "python3 cannot make a virtual environment"
"$folder/venv/bin/pip" install --quiet "$TOOL" 2>"$folder/pip.log" ||
    skip "pip could not fetch $TOOL: $(tail -n 1 "$folder/pip.log")"

cargo build --quiet --bin issuecommand
for number in $(seq 1 80); do
    echo "{\"repo\":\"acme/small\",\"number\":$number,\"title\":\"Issue $number\",\"created_at\":\"2026-01-01T00:00:00Z\"}"
done >"$folder/backlog.jsonl"
cat >"$folder/issuecommand.toml" <<'TOML'
[server]
port = 0
api_key = "a-key-for-schemathesis"
[store]
path = "claims.db"
[github]
issues_file = "backlog.jsonl"
[rate_limits]
enabled = false
TOML
HOME="$folder" target/debug/issuecommand serve --config "$folder/issuecommand.toml" 2>"$folder/server.log" &
server=$!
for _ in $(seq 1 100); do
    url="$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1/p' "$folder/server.log")"
    [[ -n $url ]] && break
    sleep 0.1
done
[[ -n ${url:-} ]] || { cat "$folder/server.log"; exit 1; }

# The stream of events never ends, so it is left out.
"$folder/venv/bin/schemathesis" run "$url/openapi.json" --header "Authorization: Bearer a-key-for-schemathesis" \
    --exclude-path /sse --checks "$CHECKS" --max-examples "$EXAMPLES" --request-timeout 20 --continue-on-failure \
    --no-color
