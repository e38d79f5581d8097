"""Authlib: a hook token is fetched, used, introspected and revoked."""

from authlib.integrations.requests_client import OAuth2Session

from gateway import CLIENT_ID, CLIENT_SECRET, ISSUER, METHOD, metadata, refused

server = metadata()
with OAuth2Session(
    CLIENT_ID,
    CLIENT_SECRET,
    scope="hook:track",
    token_endpoint_auth_method=METHOD,
    revocation_endpoint_auth_method=METHOD,
) as session:
    token = session.fetch_token(server["token_endpoint"], grant_type="client_credentials")
    assert token["token_type"].lower() == "bearer" and token["scope"] == "hook:track", token
    assert token["expires_in"] > 0 and "refresh_token" not in token, token

    called = session.post(f"{ISSUER}/v1/track")
    assert called.status_code == 200, called.text

    access_token = token["access_token"]
    introspected = session.introspect_token(server["introspection_endpoint"], token=access_token).json()
    assert introspected["active"] is True and introspected["client_id"] == CLIENT_ID, introspected

    revoked = session.revoke_token(server["revocation_endpoint"], token=access_token)
    assert revoked.status_code == 200, revoked.text
    assert refused(access_token)
    introspected = session.introspect_token(server["introspection_endpoint"], token=access_token).json()
    assert introspected == {"active": False}, introspected
print("ok")
