"""What an agent does, over streamable HTTP, with nothing but Python's standard library.

    cargo run -p nessus-mcp-server -- serve --with-worker --scanner-config scanners.yaml
    python3 examples/agent_flow.py [URL] [TARGETS]

The URL is http://127.0.0.1:8835/mcp unless it is given; a token stands in NESSUS_MCP_TOKEN. Submits a scan, waits for it without
asking more often than it must, counts before it reads, and reads page by page until there is no cursor any more.
"""

import itertools
import json
import os
import sys
import urllib.request

URL = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8835/mcp"
TARGETS = sys.argv[2] if len(sys.argv) > 2 else "192.0.2.1-192.0.2.9"
NUMBERS = itertools.count(1)


class Refused(Exception):
    """A tool has refused: its error has a stable code, a message and mostly a hint."""


def request(method, params):
    """One JSON-RPC request. The server keeps no session, so each stands alone."""
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    if method != "initialize":
        headers["MCP-Protocol-Version"] = "2025-06-18"
    if token := os.environ.get("NESSUS_MCP_TOKEN"):
        headers["Authorization"] = f"Bearer {token}"
    body = json.dumps({"jsonrpc": "2.0", "id": next(NUMBERS), "method": method, "params": params})
    with urllib.request.urlopen(urllib.request.Request(URL, body.encode(), headers), timeout=100) as answer:
        text = answer.read().decode()
        if answer.headers.get_content_type() == "text/event-stream":
            events = (line[len("data:"):] for line in text.splitlines() if line.startswith("data:"))
            text = [event for event in events if event.strip()][-1]
    answer = json.loads(text)
    if "error" in answer:
        raise RuntimeError(answer["error"]["message"])
    return answer["result"]


def call(tool, **arguments):
    """Calls a tool; returns its text."""
    result = request("tools/call", {"name": tool, "arguments": arguments})
    text = result["content"][0]["text"]
    if result.get("isError"):
        raise Refused(text)
    return text


def main():
    client = {"name": "agent_flow", "version": "1"}
    request("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
    tools = [tool["name"] for tool in request("tools/list", {})["tools"]]
    print(f"{len(tools)} tools, among them run_untrusted_scan: {'run_untrusted_scan' in tools}")

    task = json.loads(call("run_untrusted_scan", name="agent flow", targets=TARGETS))["task_id"]
    while True:
        # The server answers as soon as something changes.
        view = json.loads(call("get_scan_status", task_id=task, wait_seconds=30))
        if view["status"] not in ("queued", "running"):
            break
    print(f"the scan is {view['status']}")

    counted = json.loads(call("get_scan_results", task_id=task, count_only=True).splitlines()[0])
    print(f"{counted['matched']} findings: {json.dumps(counted['matched_by_severity'])}")

    findings, page = [], {"schema_profile": "minimal", "page_size": 10}
    while page:
        lines = [json.loads(line) for line in call("get_scan_results", task_id=task, **page).splitlines()]
        findings += [line for line in lines if line["type"] == "vulnerability"]
        cursor = lines[-1].get("next_cursor")
        page = cursor and {"schema_profile": "minimal", "page_size": 10, "cursor": cursor}
    print(f"read {len(findings)} findings, all of them: {len(findings) == counted['matched']}")

    try:
        call("get_scan_results", task_id=task, filters={"sevrity": "High"})
    except Refused as refused:
        error = json.loads(str(refused))
        print(f"a wrong question is refused: {error['error']}, with a hint: {'hint' in error}")


main()
