"""The MCP Python SDK: given the server's URL and the id of a client, or the URL of its metadata document, it discovers the
authorization server, sends the person's browser there, and calls a tool as that person."""

import asyncio
import os
from urllib.parse import parse_qs, urlsplit

import httpx2
from mcp import Client
from mcp.client.auth import OAuthClientProvider
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata

SERVER, ISSUER = os.environ["SERVER"], os.environ["ISSUER"]
CLIENT_ID, CLIENT_METADATA_URL = os.environ.get("CLIENT_ID"), os.environ.get("CLIENT_METADATA_URL")
USER = os.environ["USER"]


class Kept:
    """What the client remembers: who it is, and its tokens."""

    def __init__(self, redirect_uri):
        self.tokens = None
        self.client = CLIENT_ID and OAuthClientInformationFull(
            client_id=CLIENT_ID, redirect_uris=[redirect_uri], token_endpoint_auth_method="none", issuer=ISSUER
        )

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return self.client

    async def set_client_info(self, client_info):
        self.client = client_info


async def loopback():
    """A redirect URI on a free port (RFC 8252 §7.3), and the query that the browser comes back to it with."""
    arrived = asyncio.get_running_loop().create_future()

    async def answer(reader, writer):
        target = (await reader.readline()).decode().split(" ")[1]
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()
        url = urlsplit(target)
        if url.path == "/callback" and not arrived.done():
            arrived.set_result({name: values[0] for name, values in parse_qs(url.query).items()})

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    return f"http://127.0.0.1:{port}/callback", arrived


async def main():
    redirect_uri, arrived = await loopback()

    async def browse(url):
        print(f"open {url}", flush=True)

    async def comes_back():
        answer = await arrived
        return AuthorizationCodeResult(code=answer["code"], state=answer["state"], iss=answer["iss"])

    metadata = OAuthClientMetadata(
        client_name="stock", redirect_uris=[redirect_uri], token_endpoint_auth_method="none"
    )
    auth = OAuthClientProvider(
        SERVER, metadata, Kept(redirect_uri), browse, comes_back, client_metadata_url=CLIENT_METADATA_URL
    )
    async with httpx2.AsyncClient(auth=auth, timeout=60) as http:
        async with Client(streamable_http_client(SERVER, http_client=http)) as client:
            told = await client.call_tool("whoami", {})
            assert told.structured_content["user_id"] == USER, told
    print("ok")


asyncio.run(main())
