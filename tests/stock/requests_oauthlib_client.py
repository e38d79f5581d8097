"""requests-oauthlib: a hook token is fetched and used; it has no introspection or revocation of its own, so those go through
requests with the same credentials."""

import requests
from oauthlib.oauth2 import BackendApplicationClient
from requests.auth import HTTPBasicAuth
from requests_oauthlib import OAuth2Session

from gateway import CLIENT_ID, CLIENT_SECRET, ISSUER, METHOD, metadata, refused

server = metadata()
basic = METHOD == "client_secret_basic"
auth = HTTPBasicAuth(CLIENT_ID, CLIENT_SECRET) if basic else None
form = {} if basic else {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}

with OAuth2Session(client=BackendApplicationClient(CLIENT_ID, scope=["hook:track"])) as session:
    token = session.fetch_token(
        server["token_endpoint"],
        auth=auth,
        client_secret=None if basic else CLIENT_SECRET,
        include_client_id=not basic,
    )
    assert token["token_type"].lower() == "bearer" and token["scope"] == ["hook:track"], token
    called = session.post(f"{ISSUER}/v1/track")
    assert called.status_code == 200, called.text


def ask(endpoint):
    return requests.post(server[endpoint], data={"token": token["access_token"], **form}, auth=auth, timeout=10)


assert ask("introspection_endpoint").json()["active"] is True
assert ask("revocation_endpoint").status_code == 200
assert refused(token["access_token"])
assert ask("introspection_endpoint").json() == {"active": False}
print("ok")
