// What a program needs to sign a person in: it says where the person's browser should go, and waits on loopback for its return.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer } from 'node:http';

export const browse = (url) => console.log(`open ${url}`);

// A redirect URI on a free port (RFC 8252 §7.3), and the URL that the browser comes back to it with.
export const loopback = async () => {
    const { promise: arrived, resolve } = Promise.withResolvers();
    const server = createServer((request, response) => {
        const url = new URL(request.url, `http://${request.headers.host}`);
        response.setHeader('connection', 'close').end('You can close this page.');
        if (url.pathname === '/callback') {
            server.close();
            resolve(url);
        }
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return { redirectUri: `http://127.0.0.1:${server.address().port}/callback`, arrived };
};

export const isSignedIn = async (gateway, accessToken, name) => {
    const answer = await fetch(`${gateway}/v1/whoami`, { headers: { authorization: `Bearer ${accessToken}` } });
    assert.equal(answer.status, 200);
    assert.equal((await answer.json()).user_id, name);
};
