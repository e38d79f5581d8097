"""The MCP Python SDK's provider of identity assertions, which Authlib signs: given the server's URL and credentials of its own, it
trades an assertion for a token, and calls a tool as the person. When the person has left the company, it is out."""

import asyncio
import json
import os
import time
import uuid
from urllib.parse import urlsplit

import httpx2
from authlib.oauth2.drafts.id_jag import IDJAGGrant
from joserfc import jwt
from joserfc.jwk import ECKey
from mcp import Client
from mcp.client.auth import OAuthTokenError
from mcp.client.auth.extensions.identity_assertion import IdentityAssertionOAuthProvider
from mcp.client.streamable_http import streamable_http_client

SERVER, ISSUER, PROVIDER = os.environ["SERVER"], os.environ["ISSUER"], os.environ["PROVIDER"]
CLIENT_ID, CLIENT_SECRET = os.environ["CLIENT_ID"], os.environ["CLIENT_SECRET"]
ACCOUNT_DISABLED = "https://schemas.openid.net/secevent/risc/event-type/account-disabled"

KEY = ECKey.generate_key("P-256", {"use": "sig", "alg": "ES256"}, auto_kid=True)


class Kept:
    """What the client remembers."""

    tokens = None

    async def get_tokens(self):
        return self.tokens

    async def set_tokens(self, tokens):
        self.tokens = tokens

    async def get_client_info(self):
        return None

    async def set_client_info(self, client_info):
        pass


async def publish_keys():
    """The company's identity provider publishes its keys."""

    async def answer(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        body = json.dumps({"keys": [KEY.as_dict(private=False)]}).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        writer.write(head.encode() + body)
        await writer.drain()
        writer.close()

    await asyncio.start_server(answer, "127.0.0.1", urlsplit(PROVIDER).port)


async def assertion(audience, resource):
    """The company vouches for alice, even after she has left: so the gateway alone refuses."""
    claims = {"resource": resource, "scope": "hook:track"}
    now = int(time.time())
    header = {"kid": KEY.kid}
    return IDJAGGrant.sign(
        KEY, PROVIDER, audience, "alice", CLIENT_ID, issued_at=now, expires_at=now + 300, claims=claims, alg="ES256", header=header
    )


async def leaves(http):
    """The company says that alice has left (RFC 8417, RFC 8935)."""
    event = {
        "iss": PROVIDER,
        "aud": ISSUER,
        "iat": int(time.time()),
        "jti": str(uuid.uuid4()),
        "sub_id": {"format": "iss_sub", "iss": PROVIDER, "sub": "alice"},
        "events": {ACCOUNT_DISABLED: {}},
    }
    token = jwt.encode({"alg": "ES256", "kid": KEY.kid, "typ": "secevent+jwt"}, event, KEY)
    answer = await http.post(
        f"{ISSUER}/v1/auth/revocations/events", content=token, headers={"content-type": "application/secevent+jwt"}
    )
    assert answer.status_code == 202, answer.text


async def calls_a_tool(auth):
    async with httpx2.AsyncClient(auth=auth, timeout=60) as http:
        async with Client(streamable_http_client(SERVER, http_client=http)) as client:
            return await client.call_tool("whoami", {})


def causes(error):
    """The errors that an error of a task group holds."""
    for inner in getattr(error, "exceptions", ()):
        yield from causes(inner)
    yield error


async def main():
    await publish_keys()
    for method in ["client_secret_post", "client_secret_basic"]:
        kept = Kept()
        auth = IdentityAssertionOAuthProvider(
            SERVER, kept, CLIENT_ID, CLIENT_SECRET, ISSUER, assertion, scope="hook:track", token_endpoint_auth_method=method
        )
        told = await calls_a_tool(auth)
        assert told.structured_content["user_id"] == "alice", told
    assert kept.tokens.refresh_token is None, kept.tokens

    async with httpx2.AsyncClient(timeout=60) as http:
        await leaves(http)
        answer = await http.post(SERVER, headers={"authorization": f"Bearer {kept.tokens.access_token}"})
        assert answer.status_code == 401, answer.text
    try:
        await calls_a_tool(auth)
    except BaseException as error:
        told = [str(cause) for cause in causes(error) if isinstance(cause, OAuthTokenError)]
        assert told and "invalid_grant" in told[0], told or repr(error)
    else:
        raise AssertionError("she is still let in")
    print("ok")


asyncio.run(main())
