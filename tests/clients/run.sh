#!/usr/bin/env bash
# Real clients walk an issue from claim to closed: MCP Inspector, the Python and TypeScript SDKs of both
# eras of the protocol, over Streamable HTTP and over stdio, there with a server of their own and through
# the shim (`issuecommand mcp`), and opencode as an agent with a scripted model.
#
#   tests/clients/run.sh            installs the pinned clients into a temporary folder, and runs them
#   KEEP=folder tests/clients/run.sh   keeps them there, for another run
#   ALLOW_SKIPS=1 tests/clients/run.sh   does without clients that could not be fetched
#
# Exit codes: 0 all walked; 1 one failed; 2 none failed, and some were skipped.
set -uo pipefail

readonly NODE_CLIENTS=(@modelcontextprotocol/sdk@1.32.2 @modelcontextprotocol/client@2.4.0
    @modelcontextprotocol/inspector@2.12.0)
readonly AGENT=opencode-ai@1.18.33
readonly PYTHON_SDKS=(1.30.0 2.3.0)
readonly ISSUE_COUNT=40

cd "$(dirname "$0")/../.." || exit 1
here="$PWD/tests/clients"
folder="$(mktemp -d)"
clients="${KEEP:-$folder/clients}"
processes=()
failed=0
skipped=0
end() {
    # Servers that shims started run on without them; their command lines name our folder.
    for process in $(pgrep -f -- "--config $folder/"); do
        kill "$process" 2>/dev/null
    done
    for process in "${processes[@]}"; do kill "$process" 2>/dev/null; done
    rm -rf "$folder"
}
trap end EXIT

cargo build --bin issuecommand || exit 1
binary="$(realpath "${CARGO_TARGET_DIR:-target}/debug/issuecommand")"
for number in $(seq "$ISSUE_COUNT"); do
    echo "{\"repo\":\"acme/small\",\"number\":$number,\"title\":\"Issue $number\",\"body\":\"Text\",\"created_at\":\"2026-01-01T00:00:00Z\"}"
done >"$folder/issues.jsonl"

# A configuration with a database of its own.
configuration() {
    printf '[github]\nissues_file = "issues.jsonl"\n[store]\npath = "%s/%s.db"\n' "$folder" "$1" >"$folder/$1.toml"
    echo "$folder/$1.toml"
}

# A program that speaks MCP on standard input: a server of its own, or the shim.
program() {
    local words="serve --stdio"
    [[ $1 == shim ]] && words="mcp"
    printf '#!/bin/sh\nHTTP_PORT=0 exec "%s" %s "$@"\n' "$binary" "$words" >"$folder/$1"
    chmod +x "$folder/$1"
    echo "$folder/$1"
}

# Says what could not be tried, and why.
skip() {
    skipped=1
    echo "skipped: $1"
}

# Runs one client; its last line says what it did.
tried() {
    local name="$1" said
    shift
    if said="$(timeout 120 "$@" 2>"$folder/stderr")"; then
        echo "passed: $name: $(tail -n 1 <<<"$said")"
    else
        failed=1
        echo "FAILED: $name"
        { echo "$said"; tail -n 20 "$folder/stderr"; } | sed 's/^/    /'
    fi
}

: >"$folder/server.log"
env -u API_KEY HTTP_PORT=0 "$binary" serve --config "$(configuration http)" 2>"$folder/server.log" &
processes+=($!)
url=""
for _ in $(seq 600); do
    url="$(sed -n 's/.*listening on \(http:[^ ]*\).*/\1\/mcp/p' "$folder/server.log" | head -n 1)"
    [[ -n $url ]] && break
    sleep 0.1
done
[[ -n $url ]] || { echo "the server did not come up:"; cat "$folder/server.log"; exit 1; }
# Issues are handed out once the first sync went by.
for _ in $(seq 600); do
    curl -fsS "${url%/mcp}/api/health" 2>/dev/null | grep -q last_github_sync_at && break
    sleep 0.1
done

walk_python() {
    local version="$1" python="$clients/python-$1/bin/python"
    if [[ ! -x $python ]]; then
        { python3 -m venv "$clients/python-$version" && "$python" -m pip install --quiet "mcp==$version"; } \
            >"$folder/pip.log" 2>&1 || { skip "Python SDK $version: $(tail -n 1 "$folder/pip.log")"; return; }
    fi
    local modes=("")
    [[ $version == 2.* ]] && modes=(legacy auto 2026-07-28)
    for mode in "${modes[@]}"; do
        tried "Python SDK $version ${mode:+($mode) }over HTTP" "$python" "$here/walk.py" http "$url" $mode
        local config way
        for way in server shim; do
            config="$(configuration "python-$version-$mode-$way")"
            tried "Python SDK $version ${mode:+($mode) }over stdio ($way)" \
                "$python" "$here/walk.py" stdio "$(program "$way")" "$config" $mode
        done
    done
}

walk_typescript() {
    cp "$here/walk.mjs" "$clients/walk.mjs" # modules are found from where the script stands
    local sdk mode config way
    for sdk in v1 v2; do
        local modes=("")
        [[ $sdk == v2 ]] && modes=(legacy auto 2026-07-28)
        for mode in "${modes[@]}"; do
            tried "TypeScript SDK $sdk ${mode:+($mode) }over HTTP" node "$clients/walk.mjs" "$sdk" http "$url" $mode
            for way in server shim; do
                config="$(configuration "typescript-$sdk-$mode-$way")"
                tried "TypeScript SDK $sdk ${mode:+($mode) }over stdio ($way)" \
                    node "$clients/walk.mjs" "$sdk" stdio "$(program "$way")" "$config" $mode
            done
        done
    done
}

# One call of the Inspector's command line, whose process ends with it.
inspect() {
    local target=("$@")
    local call=(node "$clients/node_modules/.bin/mcp-inspector" --cli "${target[@]}" --method)
    "${call[@]}" tools/list --strict | grep -q next_work || return 1
    local work claim status
    work="$("${call[@]}" tools/call --tool-name next_work --tool-arg agent_id=inspector)" || return 1
    claim="$(grep -o 'claim_id[\\": ]*[0-9a-f-]*' <<<"$work" | head -n 1 | grep -o '[0-9a-f-]*$')"
    for status in in_progress pr_submitted pr_merged closed; do
        local arguments=(agent_id=inspector "claim_id=$claim" "status=$status")
        [[ $status == pr_submitted ]] && arguments+=(pr_url=https://github.com/acme/small/pull/10)
        "${call[@]}" tools/call --tool-name update_claim_status --tool-arg "${arguments[@]}" | grep -q "$status" || return 1
    done
    "${call[@]}" resources/read --uri issuecommand://health | grep -q active_claims || return 1
    echo "walked claim $claim"
}

walk_inspector() {
    export clients
    export -f inspect
    tried "MCP Inspector over HTTP" bash -c 'inspect "$@"' inspect "$url" --transport http
    local way
    for way in server shim; do
        # A command of its own, because the Inspector takes `--config` for itself.
        printf '#!/bin/sh\nexec "%s" --config "%s"\n' "$(program "$way")" "$(configuration "inspector-$way")" \
            >"$folder/inspected-$way"
        chmod +x "$folder/inspected-$way"
        tried "MCP Inspector over stdio ($way)" bash -c 'inspect "$@"' inspect "$folder/inspected-$way"
    done
}

# The agent's own loop: it starts the server, shows the model its tools and calls what the model says.
run_agent() {
    python3 "$here/scripted_model.py" "$folder/port" &
    processes+=($!)
    for _ in $(seq 100); do [[ -s $folder/port ]] && break; sleep 0.1; done
    local config home="$folder/agent"
    config="$(configuration agent)"
    mkdir -p "$home/work"
    cat >"$home/work/opencode.json" <<JSON
{ "autoupdate": false, "share": "disabled", "enabled_providers": ["scripted"],
  "model": "scripted/model", "small_model": "scripted/model",
  "provider": { "scripted": { "npm": "@ai-sdk/openai-compatible", "name": "Scripted",
    "options": { "baseURL": "http://127.0.0.1:$(cat "$folder/port")/v1", "apiKey": "none" },
    "models": { "model": { "name": "Scripted", "tool_call": true, "limit": { "context": 100000, "output": 4000 } } } } },
  "mcp": { "issuecommand": { "type": "local", "enabled": true, "environment": { "HTTP_PORT": "0" },
    "command": ["$binary", "serve", "--stdio", "--profile", "minimal", "--config", "$config"] } } }
JSON
    local agent
    agent="$(find "$clients/node_modules" -type f -name opencode -path '*linux*/bin/*' -not -path '*baseline*' | head -n 1)"
    tried "opencode (agent, scripted model) over stdio" env HOME="$home" XDG_DATA_HOME="$home/data" \
        OPENCODE_DISABLE_MODELS_FETCH=1 OPENCODE_DISABLE_AUTOUPDATE=1 OPENCODE_DISABLE_LSP_DOWNLOAD=1 \
        OPENCODE_DISABLE_DEFAULT_PLUGINS=1 OPENCODE_DISABLE_SHARE=1 \
        bash -c 'cd "$1/work" && said="$("$2" run "Work on your next issue." </dev/null)" &&
            echo "$said" && grep -q "The issue is closed." <<<"$said"' agent "$home" "$agent"
}

mkdir -p "$clients"
if ! command -v npm >/dev/null; then
    skip "Inspector, TypeScript SDKs, opencode: npm is not installed"
elif [[ -d $clients/node_modules ]] || npm install --prefix "$clients" --no-audit --no-fund --silent \
    "${NODE_CLIENTS[@]}" "$AGENT" >"$folder/npm.log" 2>&1; then
    walk_typescript
    walk_inspector
    run_agent
else
    skip "Inspector, TypeScript SDKs, opencode: npm could not fetch them: $(tail -n 1 "$folder/npm.log")"
fi
if command -v python3 >/dev/null; then
    for version in "${PYTHON_SDKS[@]}"; do walk_python "$version"; done
else
    skip "Python SDKs: python3 is not installed"
fi
if ((failed)); then exit 1; fi
if ((skipped)) && [[ ${ALLOW_SKIPS:-} != 1 ]]; then
    echo "some clients were not tried; ALLOW_SKIPS=1 does without them"
    exit 2
fi
