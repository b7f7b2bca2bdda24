"""The whole flow of a scan through a Python client, whichever is installed: fastmcp 2 to 4, or mcp 1 or 2.

    python python_flow.py URL [TOKEN]            over HTTP; SSL_CERT_FILE names the CA of a certificate of one's own
    python python_flow.py -- COMMAND ARGUMENT... over stdio

The server needs a pool `lab` that scans in a moment and a pool `slow` that does not: mock scanners will do. Lists the tools,
submits a scan, waits for it, reads findings and summary, cancels another, and has an error told. Prints the versions of
the client, the revision of the protocol and what was done; fails at the first thing that is not as it should be. For example:

    uv run --no-project --with 'fastmcp==2.14.7' tests/clients/python_flow.py http://127.0.0.1:8835/mcp
"""

import asyncio
import contextlib
import importlib.metadata
import json
import sys


def version(package):
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def major(package):
    return int((version(package) or "0").split(".")[0])


@contextlib.asynccontextmanager
async def fastmcp(url, token, command):
    from fastmcp import Client
    from fastmcp.client.transports import StdioTransport, StreamableHttpTransport

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    transport = StreamableHttpTransport(url, headers=headers) if url else StdioTransport(command[0], command[1:])
    async with Client(transport) as client:

        async def call(tool, arguments):
            return await client.call_tool_mcp(tool, arguments)

        async def tools():
            return await client.list_tools()

        yield tools, call, client if getattr(client, "protocol_version", None) else client.initialize_result


@contextlib.asynccontextmanager
async def mcp_1(url, token, command):
    from mcp import ClientSession, StdioServerParameters
    from mcp.client.stdio import stdio_client
    from mcp.client.streamable_http import streamablehttp_client

    headers = {"Authorization": f"Bearer {token}"} if token else {}
    if url:
        streams = streamablehttp_client(url, headers=headers)
    else:
        streams = stdio_client(StdioServerParameters(command=command[0], args=command[1:]))
    async with streams as (read, write, *_), ClientSession(read, write) as session:
        greeting = await session.initialize()

        async def tools():
            return (await session.list_tools()).tools

        yield tools, session.call_tool, greeting


@contextlib.asynccontextmanager
async def mcp_2(url, token, command):
    from mcp import Client, StdioServerParameters
    from mcp.client.streamable_http import streamable_http_client

    target = StdioServerParameters(command=command[0], args=command[1:]) if command else url
    if url and token:
        import ssl

        import httpx2 as httpx

        # The factory of the SDK would do; this one takes the CA of SSL_CERT_FILE with every version.
        http = httpx.AsyncClient(
            headers={"Authorization": f"Bearer {token}"}, verify=ssl.create_default_context(), timeout=60
        )
        target = streamable_http_client(url, http_client=http)
    async with Client(target) as client:

        async def tools():
            return (await client.list_tools()).tools

        yield tools, client.call_tool, client


def either(value, *names):
    return next((getattr(value, name) for name in names if getattr(value, name, None) is not None), None)


async def flow(tools, call):
    async def answer(tool, **arguments):
        result = await call(tool, arguments)
        return bool(either(result, "isError", "is_error")), result.content[0].text

    async def ask(tool, **arguments):
        is_error, text = await answer(tool, **arguments)
        assert not is_error, f"{tool}: {text}"
        return text

    listed = [tool.name for tool in await tools()]
    assert "run_untrusted_scan" in listed and listed == sorted(listed), listed
    submitted = json.loads(await ask("run_untrusted_scan", targets="192.0.2.0/30", name="flow", scanner_pool="lab"))
    task = submitted["task_id"]
    for _ in range(100):
        view = json.loads(await ask("get_scan_status", task_id=task, wait_seconds=5))
        if view["status"] not in ("queued", "running"):
            break
    assert view["status"] == "completed", view
    lines = [json.loads(line) for line in (await ask("get_scan_results", task_id=task, page_size=10)).splitlines()]
    assert [lines[0]["type"], lines[-1]["type"]] == ["schema", "pagination"], lines
    summary = json.loads(await ask("get_scan_summary", task_id=task))
    slow = json.loads(await ask("run_untrusted_scan", targets="192.0.2.9", name="slow", scanner_pool="slow"))["task_id"]
    await ask("cancel_scan", task_id=slow, reason="enough")
    for _ in range(100):
        ended = json.loads(await ask("get_scan_status", task_id=slow, wait_seconds=5))["status"]
        if ended == "cancelled":
            break
    assert ended == "cancelled", ended
    is_error, text = await answer("get_scan_status", task_id="ne_ness_20261128_143022_a1b2c3d4")
    assert is_error and json.loads(text)["error"] == "task_not_found", text
    return f"{len(listed)} tools, {lines[0]['matched']} findings, {len(summary)} parts of the summary, cancelled, refused"


async def main():
    url, token, command = None, None, None
    if sys.argv[1] == "--":
        command = sys.argv[2:]
    else:
        url, token = sys.argv[1], (sys.argv[2:] or [None])[0]
    client = fastmcp if version("fastmcp") else mcp_2 if major("mcp") >= 2 else mcp_1
    async with client(url, token, command) as (tools, call, greeting):
        done = await flow(tools, call)
        revision = either(greeting, "protocolVersion", "protocol_version")
    versions = ", ".join(f"{name} {version(name)}" for name in ("fastmcp", "mcp") if version(name))
    print(f"{versions} | {revision} | {done}")


asyncio.run(main())
