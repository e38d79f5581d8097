// fetch, node:http and node:http2 send a large request with a bad token, and hear the refusal at every size.

import assert from 'node:assert/strict';
import http from 'node:http';
import http2 from 'node:http2';

const { GATEWAY, PREFIX } = process.env;
const headers = { authorization: 'Bearer bad.bad.bad', 'content-type': 'text/plain' };

const byHttp = (path, body, more = {}) =>
    new Promise((resolve, reject) => {
        const request = http.request(GATEWAY + path, { method: 'POST', headers: { ...headers, ...more }, agent: false });
        request.on('error', reject);
        request.on('response', (answer) => {
            answer.resume();
            answer.on('end', () => resolve(answer.statusCode));
        });
        request.end(body);
    });

const byHttp2 = (path, body) =>
    new Promise((resolve, reject) => {
        // Node itself refuses to hold more than 10 MB for a session otherwise.
        const session = http2.connect(GATEWAY, { maxSessionMemory: 100 });
        const stream = session.request({ ':method': 'POST', ':path': path, ...headers });
        let status;
        session.on('error', reject);
        stream.on('error', reject);
        stream.on('response', (answer) => (status = answer[':status']));
        stream.on('close', () => {
            session.close();
            resolve(status);
        });
        stream.resume();
        stream.end(body);
    });

for (const size of [200_000, 1_000_000, 5_000_000, 20_000_000]) {
    const body = Buffer.alloc(size, 'x');
    for (const [path, expected] of [['/v1/echo', 401], [PREFIX + '/session', 415], [PREFIX + '/capabilities', 405]]) {
        for (let round = 0; round < (path === '/v1/echo' ? 10 : 3); round += 1) {
            const answer = await fetch(GATEWAY + path, { method: 'POST', headers, body });
            assert.equal(answer.status, expected, `fetch, ${size}, ${path}`);
            await answer.arrayBuffer();
            assert.equal(await byHttp(path, body), expected, `http, ${size}, ${path}`);
            assert.equal(await byHttp(path, body, { 'transfer-encoding': 'chunked' }), expected, `chunked, ${size}, ${path}`);
            assert.equal(await byHttp2(path, body), expected, `http2, ${size}, ${path}`);
        }
    }
}
console.log('ok');
