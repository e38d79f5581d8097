// An identity provider, written from the specifications with jose: it publishes its keys, exchanges an ID token for an identity
// assertion (ID-JAG), and pushes security events (RFC 8417, RFC 8935). `url` is its issuer, on a port of loopback that is free.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:http';
import * as jose from 'jose';

const ID_JAG = 'urn:ietf:params:oauth:token-type:id-jag';
const ACCOUNT_DISABLED = 'https://schemas.openid.net/secevent/risc/event-type/account-disabled';

export const identityProvider = async (url, { alg = 'ES256' } = {}) => {
    const { publicKey, privateKey } = await jose.generateKeyPair(alg);
    const jwk = { ...(await jose.exportJWK(publicKey)), alg, use: 'sig' };
    jwk.kid = await jose.calculateJwkThumbprint(jwk);
    const left = new Set();

    // A token of the type `typ`. Claims that are undefined are left out.
    const sign = (typ, claims) =>
        new jose.SignJWT({ iss: url, iat: Math.floor(Date.now() / 1000), jti: randomUUID(), ...claims })
            .setProtectedHeader({ alg, kid: jwk.kid, typ })
            .sign(privateKey);
    const soon = (seconds) => Math.floor(Date.now() / 1000) + seconds;
    const idToken = (sub) => sign('JWT', { aud: url, sub, exp: soon(3600) });
    const assertion = (claims) => sign('oauth-id-jag+jwt', { exp: soon(300), ...claims });
    const securityEvent = (sub, aud, type = ACCOUNT_DISABLED) =>
        sign('secevent+jwt', { aud, sub_id: { format: 'iss_sub', iss: url, sub }, events: { [type]: {} } });

    // RFC 8935 §2: what the receiver answers to a security event.
    const push = (endpoint, token) =>
        fetch(endpoint, {
            method: 'POST',
            headers: { 'content-type': 'application/secevent+jwt', accept: 'application/json' },
            body: token,
        });
    // OpenID Connect Back-Channel Logout 1.0 §2.5: the person signs out.
    const signsOut = async (sub, endpoint, client) => {
        const events = { 'http://schemas.openid.net/event/backchannel-logout': {} };
        const logout_token = await sign('logout+jwt', { aud: client, sub, events, exp: soon(120) });
        return fetch(endpoint, { method: 'POST', body: new URLSearchParams({ logout_token }) });
    };
    // draft-parecki-oauth-global-token-revocation, with the JWT that Okta signs: all that the person has is revoked.
    const revokes = async (sub, endpoint) => {
        const proof = await sign('global-token-revocation+jwt', { aud: endpoint, sub: 'the-company', exp: soon(300) });
        return fetch(endpoint, {
            method: 'POST',
            headers: { 'content-type': 'application/json', authorization: `Bearer ${proof}` },
            body: JSON.stringify({ sub_id: { format: 'iss_sub', iss: url, sub } }),
        });
    };
    // The person leaves, and the gateway has been told when this ends.
    const leaves = async (sub, endpoint, aud) => {
        left.add(sub);
        const answer = await push(endpoint, await securityEvent(sub, aud));
        assert.equal(answer.status, 202, await answer.text());
    };

    // RFC 8693, as the draft of identity assertions profiles it.
    const exchange = async (form) => {
        assert.equal(form.get('grant_type'), 'urn:ietf:params:oauth:grant-type:token-exchange');
        assert.equal(form.get('requested_token_type'), ID_JAG);
        assert.equal(form.get('subject_token_type'), 'urn:ietf:params:oauth:token-type:id_token');
        const { payload } = await jose.jwtVerify(form.get('subject_token'), publicKey, { issuer: url, audience: url });
        if (left.has(payload.sub)) return [400, { error: 'invalid_grant', error_description: 'this person has left' }];
        const claims = {
            aud: form.get('audience'),
            sub: payload.sub,
            client_id: form.get('client_id'),
            resource: form.get('resource') ?? undefined,
            scope: form.get('scope') ?? undefined,
        };
        const answer = { issued_token_type: ID_JAG, token_type: 'N_A', expires_in: 300 };
        return [200, { ...answer, access_token: await assertion(claims) }];
    };
    const metadata = {
        issuer: url,
        authorization_endpoint: `${url}/authorize`,
        token_endpoint: `${url}/token`,
        jwks_uri: `${url}/jwks.json`,
        response_types_supported: ['code'],
        subject_types_supported: ['public'],
        id_token_signing_alg_values_supported: [alg],
    };
    const answer = async (request) => {
        if (request.url.startsWith('/.well-known/')) return [200, metadata];
        if (request.url === '/jwks.json') return [200, { keys: [jwk] }];
        if (request.url !== '/token') return [404, {}];
        return exchange(new URLSearchParams(Buffer.concat(await request.toArray()).toString()));
    };
    const server = createServer(async (request, response) => {
        const [status, body] = await answer(request).catch((error) => [500, { error: String(error) }]);
        response.writeHead(status, { 'content-type': 'application/json', connection: 'close' }).end(JSON.stringify(body));
    });
    server.listen(new URL(url).port, '127.0.0.1');
    await once(server, 'listening');
    return { issuer: url, sign, soon, idToken, assertion, securityEvent, push, signsOut, revokes, leaves, stop: () => server.close() };
};
