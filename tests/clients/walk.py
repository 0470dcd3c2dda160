"""Walks one issue from claim to closed with the official Python SDK, of whichever generation is installed.

    walk.py http URL [MODE]             over Streamable HTTP
    walk.py stdio PROGRAM CONFIG [MODE]  over a process of its own

MODE, for the SDK from 2 on: legacy, auto, or a revision of the protocol.
"""

import asyncio
import json
import os
import sys
from contextlib import asynccontextmanager

import mcp

AGENT = "python-sdk"
PULL_REQUEST = "https://github.com/acme/small/pull/7"


def parameters(binary, config):
    environment = dict(os.environ, HTTP_PORT="0", ISSUECOMMAND_AGENT_ID=AGENT)
    arguments = ["--config", config]
    return mcp.StdioServerParameters(command=binary, args=arguments, env=environment)


@asynccontextmanager
async def client_of_today(target, mode):
    """The SDK from 2 on: one client for both eras."""
    server = target[0] if len(target) == 1 else parameters(*target)
    async with mcp.Client(server, mode=mode) as client:
        yield client, client.protocol_version


@asynccontextmanager
async def client_of_before(target):
    """The SDK before 2: sessions over a pair of streams."""
    if len(target) == 1:
        from mcp.client.streamable_http import streamablehttp_client

        opened = streamablehttp_client(target[0])
    else:
        opened = mcp.stdio_client(parameters(*target))
    async with opened as streams, mcp.ClientSession(streams[0], streams[1]) as session:
        greeted = await session.initialize()
        yield session, greeted.protocolVersion


def body(result):
    """The answer, which text and structured content each hold whole."""
    structured = getattr(result, "structured_content", None) or getattr(result, "structuredContent", None)
    assert json.loads(result.content[0].text) == structured, result
    return structured


async def first_work(client):
    """A server just started may be asked before its first sync went by."""
    for _ in range(100):
        work = body(await client.call_tool("next_work", {"agent_id": AGENT}))
        if work["ok"]:
            break
        await asyncio.sleep(0.1)
    return work


async def walk(client, version):
    tools = [tool.name for tool in (await client.list_tools()).tools]
    assert tools[0] == "next_work" and len(tools) == 15, tools
    work = await first_work(client)
    assert work["ok"] and work["kind"] == "issue", work
    claim = {"agent_id": AGENT, "claim_id": work["claim"]["claim_id"]}
    steps = [
        {"status": "in_progress"},
        {"status": "pr_submitted", "pr_url": PULL_REQUEST},
        {"status": "pr_merged"},
        {"status": "closed"},
    ]
    for step in steps:
        moved = body(await client.call_tool("update_claim_status", {**claim, **step}))
        assert moved["ok"] and moved["claim"]["status"] == step["status"], moved
    left = body(await client.call_tool("get_my_claims", {"agent_id": AGENT}))
    assert left == {"claims": []}, left
    read = await client.read_resource("issuecommand://health")
    assert json.loads(read.contents[0].text)["health"]["active_claims"] == 0, read
    print(f"walked {work['issue']['repo']}#{work['issue']['number']} in protocol {version}")


async def main():
    kind, *rest = sys.argv[1:]
    target, mode = (rest[:1], rest[1:]) if kind == "http" else (rest[:2], rest[2:])
    is_today = hasattr(mcp, "Client")
    opened = client_of_today(target, mode[0] if mode else "auto") if is_today else client_of_before(target)
    async with opened as (client, version):
        await walk(client, version)


asyncio.run(main())
