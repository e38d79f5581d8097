// oauth4webapi and jose: an agent signs a person in by an identity assertion, a second agent exchanges its token for one of its
// own, and both are out when the identity provider says that the person has left.

import assert from 'node:assert/strict';
import * as oauth from 'oauth4webapi';
import { identityProvider } from './identity_provider.mjs';

const { GATEWAY, PROVIDER, PLANNER_SECRET, RESEARCHER_SECRET } = process.env;
const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const TOKEN_EXCHANGE = 'urn:ietf:params:oauth:grant-type:token-exchange';
const SESSION_REVOKED = 'https://schemas.openid.net/secevent/caep/event-type/session-revoked';
const ACCESS_TOKEN = 'urn:ietf:params:oauth:token-type:access_token';

const provider = await identityProvider(PROVIDER);
const http = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(GATEWAY);
const server = await oauth.processDiscoveryResponse(
    issuer,
    await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...http }),
);
for (const grant of [JWT_BEARER, TOKEN_EXCHANGE]) assert(server.grant_types_supported.includes(grant), grant);

const agents = { planner: PLANNER_SECRET, researcher: RESEARCHER_SECRET };
const grant = async (client_id, type, parameters) => {
    const [client, proof] = [{ client_id }, oauth.ClientSecretBasic(agents[client_id])];
    const answer = await oauth.genericTokenEndpointRequest(server, client, proof, type, parameters, http);
    return oauth.processGenericTokenEndpointResponse(server, client, answer);
};
const refused = (promise, error) => assert.rejects(promise, (thrown) => thrown.error === error);
const status = (token) =>
    fetch(`${GATEWAY}/v1/whoami`, { headers: { authorization: `Bearer ${token}` } }).then((answer) => answer.status);
const whoami = async (token) => {
    const answer = await fetch(`${GATEWAY}/v1/whoami`, { headers: { authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 200);
    return answer.json();
};

const claims = { aud: GATEWAY, sub: 'alice', client_id: 'planner', resource: GATEWAY, scope: 'hook:track' };
const assertion = await provider.assertion(claims);
const vouched = await grant('planner', JWT_BEARER, { assertion });
assert.equal(vouched.refresh_token, undefined);
assert.equal(vouched.scope, 'hook:track');
let who = await whoami(vouched.access_token);
assert.deepEqual([who.user_id, who.client_id, who.scopes], ['alice', 'planner', ['hook:track']]);

// The same assertion again, one for another client, an ID token in its place, and one that has expired.
await refused(grant('planner', JWT_BEARER, { assertion }), 'invalid_grant');
await refused(grant('researcher', JWT_BEARER, { assertion: await provider.assertion(claims) }), 'invalid_grant');
await refused(grant('planner', JWT_BEARER, { assertion: await provider.idToken('alice') }), 'invalid_grant');
const old = provider.assertion({ ...claims, iat: provider.soon(-600), exp: provider.soon(-300) });
await refused(grant('planner', JWT_BEARER, { assertion: await old }), 'invalid_grant');

const subject = { subject_token: vouched.access_token, subject_token_type: ACCESS_TOKEN };
const delegated = await grant('researcher', TOKEN_EXCHANGE, subject);
assert.equal(delegated.issued_token_type, ACCESS_TOKEN);
assert.equal(delegated.refresh_token, undefined);
assert(delegated.expires_in <= vouched.expires_in);
who = await whoami(delegated.access_token);
assert.deepEqual([who.user_id, who.actor.sub], ['alice', 'researcher']);
await refused(grant('researcher', TOKEN_EXCHANGE, { ...subject, scope: 'hook:track hook:govern' }), 'invalid_scope');
await refused(grant('researcher', TOKEN_EXCHANGE, { ...subject, resource: 'https://elsewhere.example' }), 'invalid_target');

// Both are let in until the event was answered, and refused at their next request.
const events = `${GATEWAY}/v1/auth/revocations/events`;
await provider.leaves('alice', events, GATEWAY);
assert.deepEqual([await status(vouched.access_token), await status(delegated.access_token)], [401, 401]);
await refused(grant('planner', JWT_BEARER, { assertion: await provider.assertion(claims) }), 'invalid_grant');
// RFC 8693 §2.2.2: a subject token that is not good is an invalid request.
await refused(grant('researcher', TOKEN_EXCHANGE, subject), 'invalid_request');

// An event that comes twice is done once. One for somebody else is refused, with the code of RFC 8935 §2.4.
const event = await provider.securityEvent('alice', GATEWAY);
for (const _ of [1, 2]) assert.equal((await provider.push(events, event)).status, 202);
const stray = await provider.push(events, await provider.securityEvent('alice', 'https://elsewhere.example'));
assert.deepEqual([stray.status, (await stray.json()).err], [400, 'invalid_audience']);

// When one link of a chain is revoked (RFC 7009), what hangs on it is out, and what it hangs on is not.
const chain = [await grant('planner', JWT_BEARER, { assertion: await provider.assertion({ ...claims, sub: 'erin' }) })];
for (const _ of [1, 2, 3]) {
    const last = { subject_token: chain.at(-1).access_token, subject_token_type: ACCESS_TOKEN };
    chain.push(await grant('researcher', TOKEN_EXCHANGE, last));
}
const statuses = () => Promise.all(chain.map((link) => status(link.access_token)));
assert.deepEqual(await statuses(), [200, 200, 200, 200]);
const asked = oauth.revocationRequest(
    server, { client_id: 'researcher' }, oauth.ClientSecretBasic(agents.researcher), chain[1].access_token, http,
);
await oauth.processRevocationResponse(await asked);
assert.deepEqual(await statuses(), [200, 401, 401, 401]);

// A logout and a global revocation end what their person has, too. Neither disables: the next assertion lets them in again.
const revocations = `${GATEWAY}/v1/auth/revocations`;
const signIn = async (sub) =>
    (await grant('planner', JWT_BEARER, { assertion: await provider.assertion({ ...claims, sub }) })).access_token;
for (const [sub, ends, expected] of [
    ['bob', () => provider.signsOut('bob', `${revocations}/backchannel-logout`, 'gateway'), 200],
    ['carol', () => provider.revokes('carol', `${revocations}/global-token-revocation`), 204],
    ['dave', async () => provider.push(events, await provider.securityEvent('dave', GATEWAY, SESSION_REVOKED)), 202],
]) {
    const token = await signIn(sub);
    assert.equal(await status(token), 200);
    assert.equal((await ends()).status, expected, sub);
    assert.equal(await status(token), 401, sub);
    // An assertion says to the second when it was issued, which must be after that.
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.equal(await status(await signIn(sub)), 200, sub);
}

provider.stop();
console.log('ok');
