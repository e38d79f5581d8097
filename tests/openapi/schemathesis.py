"""Signs the calls of schemathesis in: as the person, as the person's bridge, or as the operator.

`.ci/schemathesis` starts the gateway and names it in GATEWAY. The operator's token is in ADMIN.
"""
import json
import os
import urllib.request

import schemathesis

GATEWAY = os.environ["GATEWAY"]
PREFIX = "/v1/auth/bridge"
OF_PEOPLE = {PREFIX + path for path in ("/code", "/authorize", "/device", "/devices")}


def post(path, body, headers=None):
    data = json.dumps(body).encode()
    request = urllib.request.Request(GATEWAY + path, data, {"content-type": "application/json", **(headers or {})})
    with urllib.request.urlopen(request) as answer:
        return answer.headers, answer.read()


def sign_in():
    headers, _ = post("/demo/login", {"user_id": "alice", "scopes": "hook:govern hook:track"})
    return headers["set-cookie"].split(";")[0]


COOKIE = sign_in()


def credentials(operation):
    """The headers of a call that is let in. A bridge has a new session for each: the call before may have ended it."""
    if operation.path.startswith("/admin"):
        return {"Authorization": "Bearer " + os.environ["ADMIN"]}
    if operation.path in OF_PEOPLE:
        return {"cookie": COOKIE, "origin": GATEWAY}
    if any("bearer" in way for way in operation.definition.raw.get("security", [])):
        _, code = post(PREFIX + "/code", {}, {"cookie": COOKIE})
        _, session = post(PREFIX + "/session", {"code": json.loads(code)["code"]})
        return {"Authorization": "Bearer " + json.loads(session)["token"]}
    return {}


@schemathesis.auth(cache_by_key=None, refresh_interval=None)
class SignedIn:
    def get(self, case, context):
        return credentials(context.operation)

    def set(self, case, data, context):
        case.headers = {**(case.headers or {}), **data}


@schemathesis.serializer("application/secevent+jwt")
def security_event(context, value):
    return str(value).encode()
