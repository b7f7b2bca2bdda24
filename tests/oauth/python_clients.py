"""Comes in through the authorization code flow of a Python client, first to look and then to scan, and prints what happened.

    python python_clients.py fastmcp|mcp URL

URL is that of a server whose policy names the provider of provider.mjs and this URL as `audience`. The client is the one that is
installed: tried with fastmcp 2.14, 3.4 and 4.2, and with mcp 1.30 and 2.3 (OAuthClientProvider).
"""

import asyncio
import json
import sys
from urllib.parse import parse_qs, urlparse

from mcp import ClientSession
from mcp.client.auth import OAuthClientProvider
from mcp.shared.auth import OAuthClientMetadata

try:
    import httpx
except ImportError:
    import httpx2 as httpx  # mcp 2

SCAN = ("run_untrusted_scan", {"targets": "192.0.2.1", "name": "x"})
REDIRECT = "http://127.0.0.1:1/callback"
asked = []


async def browse(url):
    """Follows the provider through its pages, as a browser does."""
    query = parse_qs(urlparse(url).query)
    asked.append({"scope": query.get("scope"), "resource": query.get("resource")})
    async with httpx.AsyncClient() as http:
        for _ in range(20):
            if url.startswith(query["redirect_uri"][0]):
                return {name: values[0] for name, values in parse_qs(urlparse(url).query).items()}
            answer = await http.get(url)
            if "location" not in answer.headers:
                raise RuntimeError(f"{url}: {answer.status_code} {answer.text[:300]}")
            url = str(answer.url.join(answer.headers["location"]))
    raise RuntimeError("the provider sends its visitors round and round")


class Browser:
    """What both clients ask a browser for."""

    async def redirect_handler(self, url):
        self.back = await browse(url)

    async def callback_handler(self):
        try:
            from mcp.client.auth import AuthorizationCodeResult
        except ImportError:
            return self.back["code"], self.back.get("state")
        return AuthorizationCodeResult(code=self.back["code"], state=self.back.get("state"), iss=self.back.get("iss"))


class Storage:
    tokens = client = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client):
        self.client = client


async def through_mcp(url):
    browser = Browser()
    metadata = OAuthClientMetadata(
        client_name="tests",
        redirect_uris=[REDIRECT],
        grant_types=["authorization_code", "refresh_token"],
        response_types=["code"],
        token_endpoint_auth_method="none",
    )
    auth = OAuthClientProvider(
        server_url=url,
        client_metadata=metadata,
        storage=Storage(),
        redirect_handler=browser.redirect_handler,
        callback_handler=browser.callback_handler,
    )
    from mcp.client.streamable_http import streamable_http_client

    http = httpx.AsyncClient(auth=auth, timeout=60)
    async with streamable_http_client(url, http_client=http) as streams:
        async with ClientSession(*streams[:2]) as session:
            await session.initialize()
            tools = (await session.list_tools()).tools
            answer = await session.call_tool(*SCAN)
            return len(tools), answer.content[0].text


async def through_fastmcp(url):
    from fastmcp import Client
    from fastmcp.client.auth import OAuth

    class Flow(Browser, OAuth):
        pass

    async with Client(url, auth=Flow(url)) as client:
        tools = await client.list_tools()
        answer = await client.call_tool(*SCAN)
        return len(tools), answer.content[0].text


which, url = sys.argv[1:]
tools, answer = asyncio.run({"fastmcp": through_fastmcp, "mcp": through_mcp}[which](url))
print(json.dumps({"asked": asked, "tools": tools, "answer": json.loads(answer)}))
