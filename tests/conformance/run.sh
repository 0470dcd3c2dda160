#!/usr/bin/env bash
# Runs MCP's official conformance suite against the real server, built with the fixtures that the suite
# calls, at /mcp: every required scenario of both eras of the protocol must pass.
#
#   tests/conformance/run.sh            builds, starts, runs, and says what passed
#
# Exit codes: 0 all passed, or skipped because npm was not there or not reachable; 1 something failed.
set -euo pipefail

readonly SUITE="@modelcontextprotocol/conformance@0.2.0-alpha.12"
readonly NODE="node@22" # the suite needs it; the package carries the binary
readonly REVISIONS=(2026-07-28 2025-11-25)
readonly -A SCENARIOS_REQUIRED=([2026-07-28]=37 [2025-11-25]=30)

cd "$(dirname "$0")/../.."
folder="$(mktemp -d)"
server=""
end() {
    if [[ -n $server ]]; then kill "$server" 2>/dev/null || true; fi
    rm -rf "$folder"
}
trap end EXIT

skip() {
    echo "skipped: $1"
    exit 0
}

command -v npm >/dev/null || skip "npm is not installed"
echo "installing $SUITE"
npm install --prefix "$folder" --no-audit --no-fund --silent "$SUITE" "$NODE" >"$folder/npm.log" 2>&1 ||
    skip "npm could not fetch the suite: $(tail -n 1 "$folder/npm.log")"
# npm may be set not to run the script that puts the binary in place.
node="$(find "$folder/node_modules" -type f -name node -path '*/bin/*' -perm -u+x | head -n 1)"
if [[ -z $node ]]; then
    (cd "$folder/node_modules/node" && node installArchSpecificPackage.js) >>"$folder/npm.log" 2>&1 || true
    node="$(find "$folder/node_modules" -type f -name node -path '*/bin/*' -perm -u+x | head -n 1)"
fi
[[ -n $node ]] || skip "$NODE came without a binary"

cargo build --features conformance --bin issuecommand
binary="${CARGO_TARGET_DIR:-target}/debug/issuecommand"
echo '{"repo":"acme/small","number":1,"title":"One","body":"Text","created_at":"2026-01-01T00:00:00Z"}' >"$folder/issues.jsonl"
printf '[github]\nissues_file = "issues.jsonl"\n[store]\npath = "%s/claims.db"\n' "$folder" >"$folder/issuecommand.toml"
: >"$folder/server.log" # before it is looked into
env -u API_KEY HTTP_PORT=0 "$binary" serve --config "$folder/issuecommand.toml" 2>"$folder/server.log" &
server=$!
url=""
for _ in $(seq 600); do
    url="$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1\/mcp/p' "$folder/server.log" | head -n 1)"
    [[ -n $url ]] && break
    kill -0 "$server" 2>/dev/null || { cat "$folder/server.log" >&2; exit 1; }
    sleep 0.1
done
[[ -n $url ]] || { echo "the server did not come up:" >&2; cat "$folder/server.log" >&2; exit 1; }

package="$folder/node_modules/@modelcontextprotocol/conformance"
failed=0
for revision in "${REVISIONS[@]}"; do
    log="$folder/$revision.log"
    code=0
    (cd "$folder" && "$node" "$package/dist/index.js" server --url "$url" --requirements "$revision") >"$log" 2>&1 || code=$?
    if [[ ${VERBOSE:-} ]]; then cat "$log"; fi
    # The suite's own list of what is required, each once, against its own summary.
    required="$(sed -n '/^server:/,/^client:/s/^  - //p' "$package/requirements/$revision.yaml" | sort -u)"
    passed="$(sed -n 's/^✓ \([a-z0-9-]*\): .*/\1/p' "$log" | sort -u)"
    missing="$(comm -23 <(echo "$required") <(echo "$passed"))"
    count="$(comm -12 <(echo "$required") <(echo "$passed") | wc -l)"
    echo "$revision: $count of ${SCENARIOS_REQUIRED[$revision]} required scenarios passed"
    if [[ $code -ne 0 || -n $missing || $count -ne ${SCENARIOS_REQUIRED[$revision]} ]]; then
        failed=1
        cat "$log"
        echo "$revision: exit code $code; did not pass: ${missing//$'\n'/, }" >&2
    fi
done
exit "$failed"
