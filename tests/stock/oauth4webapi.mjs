// oauth4webapi: a hook token is fetched, used, introspected and revoked; a bridge's refresh token is used.

import assert from 'node:assert/strict';
import * as oauth from 'oauth4webapi';

const { GATEWAY, CLIENT_ID, CLIENT_SECRET, AUTH_METHOD, REFRESH_TOKEN } = process.env;
const loopback = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(GATEWAY);
const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...loopback });
const server = await oauth.processDiscoveryResponse(issuer, found);
assert(server.token_endpoint_auth_methods_supported.includes(AUTH_METHOD));

const client = { client_id: CLIENT_ID };
const authentication =
    AUTH_METHOD === 'client_secret_basic'
        ? oauth.ClientSecretBasic(CLIENT_SECRET)
        : oauth.ClientSecretPost(CLIENT_SECRET);

const wish = { scope: 'hook:track' };
const granted = await oauth.clientCredentialsGrantRequest(server, client, authentication, wish, loopback);
const token = await oauth.processClientCredentialsResponse(server, client, granted);
assert.equal(token.token_type, 'bearer');
assert.equal(token.scope, 'hook:track');

const call = () =>
    fetch(`${GATEWAY}/v1/track`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token.access_token}` },
    });
assert.equal((await call()).status, 200);

const introspect = async () => {
    const answer = await oauth.introspectionRequest(server, client, authentication, token.access_token, loopback);
    return oauth.processIntrospectionResponse(server, client, answer);
};
assert.equal((await introspect()).active, true);

const revoked = await oauth.revocationRequest(server, client, authentication, token.access_token, loopback);
await oauth.processRevocationResponse(revoked);
assert.equal((await call()).status, 401);
assert.deepEqual(await introspect(), { active: false });

const bridge = { client_id: 'sp_bridge' };
const refreshed = await oauth.refreshTokenGrantRequest(server, bridge, oauth.None(), REFRESH_TOKEN, loopback);
const next = await oauth.processRefreshTokenResponse(server, bridge, refreshed);
assert.notEqual(next.refresh_token, REFRESH_TOKEN);
const who = await fetch(`${GATEWAY}/v1/whoami`, { headers: { authorization: `Bearer ${next.access_token}` } });
assert.equal(who.status, 200);

console.log('ok');
