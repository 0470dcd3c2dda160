// Walks one issue from claim to closed with the official TypeScript SDK.
//
//   walk.mjs SDK http URL [MODE]             over Streamable HTTP
//   walk.mjs SDK stdio PROGRAM CONFIG [MODE]  over a process of its own
//
// SDK: v1 (@modelcontextprotocol/sdk) or v2 (@modelcontextprotocol/client).
// MODE, for v2: legacy, auto, or a revision of the protocol.
import assert from "node:assert/strict";

const AGENT = "typescript-sdk";
const PULL_REQUEST = "https://github.com/acme/small/pull/8";
const [sdk, kind, ...rest] = process.argv.slice(2);

async function parts() {
    if (sdk === "v2") {
        const { Client, StreamableHTTPClientTransport } = await import("@modelcontextprotocol/client");
        const { StdioClientTransport } = await import("@modelcontextprotocol/client/stdio");
        return { Client, StreamableHTTPClientTransport, StdioClientTransport };
    }
    const [{ Client }, { StreamableHTTPClientTransport }, { StdioClientTransport }] = await Promise.all([
        import("@modelcontextprotocol/sdk/client/index.js"),
        import("@modelcontextprotocol/sdk/client/streamableHttp.js"),
        import("@modelcontextprotocol/sdk/client/stdio.js"),
    ]);
    return { Client, StreamableHTTPClientTransport, StdioClientTransport };
}

const { Client, StreamableHTTPClientTransport, StdioClientTransport } = await parts();
let transport;
let mode;
if (kind === "http") {
    transport = new StreamableHTTPClientTransport(new URL(rest[0]));
    mode = rest[1];
} else {
    const [command, config] = rest;
    const env = { ...process.env, HTTP_PORT: "0", ISSUECOMMAND_AGENT_ID: AGENT };
    transport = new StdioClientTransport({ command, args: ["--config", config], env });
    mode = rest[2];
}
const options = {};
if (sdk === "v2") {
    options.versionNegotiation = { mode: /^\d/.test(mode ?? "") ? { pin: mode } : (mode ?? "auto") };
}
const client = new Client({ name: "walk", version: "1.0.0" }, options);
await client.connect(transport);

async function call(name, args) {
    const result = await client.callTool({ name, arguments: { agent_id: AGENT, ...args } });
    assert.deepEqual(JSON.parse(result.content[0].text), result.structuredContent);
    return result.structuredContent;
}

const { tools } = await client.listTools();
assert.equal(tools.length, 15);
assert.equal(tools[0].name, "next_work");
let work = await call("next_work", {});
// A server just started may be asked before its first sync went by.
for (let tries = 0; !work.ok && tries < 100; tries++) {
    await new Promise((resolve) => setTimeout(resolve, 100));
    work = await call("next_work", {});
}
assert.ok(work.ok && work.kind === "issue", JSON.stringify(work));
const steps = [
    { status: "in_progress" },
    { status: "pr_submitted", pr_url: PULL_REQUEST },
    { status: "pr_merged" },
    { status: "closed" },
];
for (const step of steps) {
    const moved = await call("update_claim_status", { claim_id: work.claim.claim_id, ...step });
    assert.ok(moved.ok && moved.claim.status === step.status, JSON.stringify(moved));
}
assert.deepEqual(await call("get_my_claims", {}), { claims: [] });
const health = await client.readResource({ uri: "issuecommand://health" });
assert.equal(JSON.parse(health.contents[0].text).health.active_claims, 0);
const version = client.getNegotiatedProtocolVersion?.() ?? transport.protocolVersion ?? "of its handshake";
console.log(`walked ${work.issue.repo}#${work.issue.number} in protocol ${version}`);
await client.close();
