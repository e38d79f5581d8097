// The MCP TypeScript SDK's provider of cross-app access: given the server's URL, credentials of its own and a person's ID token, it
// discovers both authorization servers, trades the ID token for an identity assertion and that for a token, and calls a tool as the
// person. When the person has left the company, it is out.

import assert from 'node:assert/strict';
import {
    Client,
    CrossAppAccessProvider,
    StreamableHTTPClientTransport,
    discoverAndRequestJwtAuthGrant,
    exchangeJwtAuthGrant,
} from '@modelcontextprotocol/client';
import { identityProvider } from './identity_provider.mjs';

const { SERVER, ISSUER, PROVIDER, CLIENT_ID, CLIENT_SECRET } = process.env;
const company = await identityProvider(PROVIDER);
const idToken = await company.idToken('alice');

const asked = [];
const assertionFor = async (context) => {
    const granted = await discoverAndRequestJwtAuthGrant({
        idpUrl: PROVIDER,
        audience: context.authorizationServerUrl,
        resource: context.resourceUrl,
        idToken,
        clientId: CLIENT_ID,
        scope: context.scope,
        fetchFn: context.fetchFn,
    });
    asked.push({ audience: context.authorizationServerUrl, resource: context.resourceUrl });
    return granted.jwtAuthGrant;
};
const authProvider = new CrossAppAccessProvider({
    assertion: assertionFor,
    clientId: CLIENT_ID,
    clientSecret: CLIENT_SECRET,
    expectedIssuer: ISSUER,
});
const client = new Client({ name: 'stock', version: '1' });
await client.connect(new StreamableHTTPClientTransport(new URL(SERVER), { authProvider }));
const told = await client.callTool({ name: 'whoami', arguments: {} });
assert.equal(told.structuredContent.user_id, 'alice', JSON.stringify(told));
assert.equal(told.structuredContent.client_id, CLIENT_ID);
assert.equal(asked.length, 1);

// She leaves. The next call is refused, and the company vouches for her no more.
const unused = await assertionFor({ authorizationServerUrl: ISSUER, resourceUrl: SERVER, fetchFn: fetch });
const { access_token: token } = authProvider.tokens();
await company.leaves('alice', `${ISSUER}/v1/auth/revocations/events`, ISSUER);
const answer = await fetch(SERVER, { method: 'POST', headers: { authorization: `Bearer ${token}` } });
assert.equal(answer.status, 401);
await assert.rejects(client.callTool({ name: 'whoami', arguments: {} }), /this person has left/);
await assert.rejects(
    exchangeJwtAuthGrant({
        tokenEndpoint: `${ISSUER}/v1/auth/bridge/token`,
        jwtAuthGrant: unused,
        clientId: CLIENT_ID,
        clientSecret: CLIENT_SECRET,
    }),
    /invalid_grant/,
);
await client.close().catch(() => {});
company.stop();
console.log('ok');
