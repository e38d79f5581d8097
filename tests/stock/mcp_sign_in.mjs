// The MCP TypeScript SDK, both of its lives: given the server's URL and the id of a client, or the URL of its metadata
// document, it discovers the authorization server, sends the person's browser there, and calls a tool as that person.

import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { browse, loopback } from './person.mjs';

const { SERVER, ISSUER, CLIENT_ID, CLIENT_METADATA_URL, USER, SDK } = process.env;

const load = {
    '@modelcontextprotocol/sdk': async () => ({
        ...(await import('@modelcontextprotocol/sdk/client/index.js')),
        ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
        ...(await import('@modelcontextprotocol/sdk/client/auth.js')),
    }),
    '@modelcontextprotocol/client': () => import('@modelcontextprotocol/client'),
};
const { Client, StreamableHTTPClientTransport, UnauthorizedError } = await load[SDK]();

const { redirectUri, arrived } = await loopback();
const kept = { client: CLIENT_ID && { client_id: CLIENT_ID, issuer: ISSUER } };
const authProvider = {
    redirectUrl: redirectUri,
    clientMetadata: { client_name: 'stock', redirect_uris: [redirectUri], token_endpoint_auth_method: 'none' },
    state: () => (kept.state ??= randomUUID()),
    clientMetadataUrl: CLIENT_METADATA_URL,
    clientInformation: () => kept.client,
    saveClientInformation: (client) => void (kept.client = client),
    tokens: () => kept.tokens,
    saveTokens: (tokens) => void (kept.tokens = tokens),
    redirectToAuthorization: browse,
    saveCodeVerifier: (verifier) => void (kept.verifier = verifier),
    codeVerifier: () => kept.verifier,
};
const transport = () => new StreamableHTTPClientTransport(new URL(SERVER), { authProvider });
const client = new Client({ name: 'stock', version: '1' });

const first = transport();
await assert.rejects(client.connect(first), UnauthorizedError);
const answer = (await arrived).searchParams;
assert.equal(answer.get('state'), kept.state);
assert.equal(answer.get('iss'), ISSUER);
await first.finishAuth(SDK === '@modelcontextprotocol/client' ? answer : answer.get('code'));

await client.connect(transport());
const told = await client.callTool({ name: 'whoami', arguments: {} });
assert.equal(told.structuredContent.user_id, USER, JSON.stringify(told));
await client.close();
console.log('ok');
