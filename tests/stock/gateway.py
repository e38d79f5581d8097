"""What the scripts are told of the gateway, and calls that need no OAuth client."""

import os

import requests

ISSUER = os.environ["GATEWAY"]
CLIENT_ID = os.environ["CLIENT_ID"]
CLIENT_SECRET = os.environ["CLIENT_SECRET"]
METHOD = os.environ["AUTH_METHOD"]


def metadata():
    answer = requests.get(f"{ISSUER}/.well-known/oauth-authorization-server", timeout=10)
    answer.raise_for_status()
    found = answer.json()
    assert found["issuer"] == ISSUER, found
    assert METHOD in found["token_endpoint_auth_methods_supported"], found
    assert METHOD in found["introspection_endpoint_auth_methods_supported"], found
    assert METHOD in found["revocation_endpoint_auth_methods_supported"], found
    return found


def refused(token):
    """Whether the gateway turns the token away, as RFC 6750 says."""
    answer = requests.post(f"{ISSUER}/v1/track", headers={"Authorization": f"Bearer {token}"}, timeout=10)
    return answer.status_code == 401 and 'error="invalid_token"' in answer.headers["WWW-Authenticate"]
