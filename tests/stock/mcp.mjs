// The MCP TypeScript SDK, both of its lives: given nothing but the server's URL and a client's credentials it discovers the
// authorization server, gets a token and calls a tool.

import assert from 'node:assert/strict';

const { SERVER, ISSUER, CLIENT_ID, CLIENT_SECRET, SDK } = process.env;

const load = {
    '@modelcontextprotocol/sdk': async () => ({
        ...(await import('@modelcontextprotocol/sdk/client/index.js')),
        ...(await import('@modelcontextprotocol/sdk/client/streamableHttp.js')),
        ...(await import('@modelcontextprotocol/sdk/client/auth-extensions.js')),
    }),
    '@modelcontextprotocol/client': () => import('@modelcontextprotocol/client'),
};
const { Client, StreamableHTTPClientTransport, ClientCredentialsProvider } = await load[SDK]();

const connect = async (clientSecret) => {
    const authProvider = new ClientCredentialsProvider({ clientId: CLIENT_ID, clientSecret, expectedIssuer: ISSUER });
    const client = new Client({ name: 'stock', version: '1' });
    await client.connect(new StreamableHTTPClientTransport(new URL(SERVER), { authProvider }));
    return client;
};

const client = await connect(CLIENT_SECRET);
const { tools } = await client.listTools();
assert(tools.some((tool) => tool.name === 'whoami'));
const answer = await client.callTool({ name: 'whoami', arguments: {} });
assert(answer.content[0].text.includes(CLIENT_ID), JSON.stringify(answer));
await client.close();

await assert.rejects(connect('not-the-secret'));
console.log('ok');
