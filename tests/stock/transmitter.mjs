// A transmitter of security events, written from OpenID Shared Signals Framework 1.0, RFC 8417, 8935 and 8936, with jose. It
// refuses each request that the standards do not allow. What is under /control is not of the standards: the test says there
// what happens, and reads what the receiver did.
//
// It prints its URL, which is its issuer too, and runs until its standard input ends.

import { randomUUID } from 'node:crypto';
import { createServer } from 'node:http';
import { SignJWT, exportJWK, generateKeyPair } from 'jose';

const { AUDIENCE, RECEIVER_TOKEN } = process.env;
const PUSH = 'urn:ietf:rfc:8935';
const POLL = 'urn:ietf:rfc:8936';
const VERIFICATION = 'https://schemas.openid.net/secevent/ssf/event-type/verification';
const STREAM_UPDATED = 'https://schemas.openid.net/secevent/ssf/event-type/stream-updated';
const EVENTS = [
    ...['session-revoked', 'credential-change', 'token-claims-change', 'device-compliance-change'].map(
        (type) => `https://schemas.openid.net/secevent/caep/event-type/${type}`,
    ),
    ...['account-disabled', 'account-purged'].map(
        (type) => `https://schemas.openid.net/secevent/risc/event-type/${type}`,
    ),
];

const { publicKey, privateKey } = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
const stranger = await generateKeyPair('EdDSA', { crv: 'Ed25519' });
const jwk = { ...(await exportJWK(publicKey)), kid: 'events-1', use: 'sig', alg: 'EdDSA' };

/** Each has `config`, `status`, `waiting` (SETs by jti) and `wake`. */
const streams = new Map();
const log = { polls: 0, empty: 0, acknowledged: [], refused: {}, verifications: [], created: 0, deleted: 0, unauthorized: 0 };
const given = { faults: [], wrongState: false, isDeaf: false, lies: false, holdFor: 30_000, multiple: true, foreignAudience: false, assignsAudience: false, defaultSubjects: 'ALL' };

class Refusal extends Error {
    constructor(status, headers = {}) {
        super(`status ${status}`);
        Object.assign(this, { status, headers });
    }
}

function required(condition) {
    if (!condition) throw new Refusal(400);
}

async function body(request) {
    let text = '';
    for await (const chunk of request) text += chunk;
    return text;
}

async function json(request) {
    required(request.headers['content-type'] === 'application/json');
    try {
        const value = JSON.parse(await body(request));
        required(value !== null && typeof value === 'object' && !Array.isArray(value));
        return value;
    } catch {
        throw new Refusal(400);
    }
}

/** RFC 8417 §2: `overrides` break one thing at a time. */
async function signed(stream, events, subject, { header = {}, claims = {}, stranger: isStranger } = {}) {
    const payload = { sub_id: subject, events, ...claims };
    const token = new SignJWT(payload)
        .setProtectedHeader({ alg: 'EdDSA', kid: jwk.kid, typ: 'secevent+jwt', ...header })
        .setIssuer(claims.iss ?? issuer)
        .setAudience(claims.aud ?? stream.config.aud)
        .setIssuedAt(claims.iat);
    const jti = claims.jti ?? randomUUID();
    return { jti, set: await token.setJti(jti).sign(isStranger ? stranger.privateKey : privateKey) };
}

/** Gives a SET to the receiver as its stream says. The answer to a push is returned (RFC 8935 §2). */
async function deliver(stream, { jti, set }) {
    if (stream.config.delivery.method === POLL) {
        stream.waiting.set(jti, set);
        stream.wake();
        return { jti };
    }
    const headers = { 'content-type': 'application/secevent+jwt', accept: 'application/json' };
    if (stream.authorization) headers.authorization = stream.authorization;
    const answer = await fetch(stream.config.delivery.endpoint_url, { method: 'POST', headers, body: set });
    return { jti, status: answer.status, body: await answer.text(), type: answer.headers.get('content-type') };
}

function streamOf(url) {
    const stream = streams.get(url.searchParams.get('stream_id'));
    if (!stream) throw new Refusal(404);
    return stream;
}

/** The transmitter supplies it (§8.1.1). */
function audienceOf(id) {
    if (given.foreignAudience) return 'https://another.example';
    return given.assignsAudience ? `a-receiver/${id}` : [AUDIENCE];
}

async function configuration(request, url) {
    if (request.method === 'POST') {
        const wish = await json(request);
        const delivery = wish.delivery ?? { method: POLL };
        required([PUSH, POLL].includes(delivery.method));
        required((delivery.method === PUSH) === (delivery.endpoint_url !== undefined));
        required(wish.events_requested === undefined || Array.isArray(wish.events_requested));
        // What the transmitter supplies is not the receiver's to say (§8.1.1).
        required(!['stream_id', 'iss', 'aud', 'events_delivered', 'events_supported'].some((name) => name in wish));
        if (streams.size > 0 && !given.multiple) throw new Refusal(409);
        const id = randomUUID();
        const asked = wish.events_requested ?? EVENTS;
        const config = {
            stream_id: id,
            iss: issuer,
            aud: audienceOf(id),
            delivery: { method: delivery.method, endpoint_url: delivery.endpoint_url ?? `${issuer}/ssf/poll/${id}` },
            events_supported: EVENTS,
            events_requested: asked,
            events_delivered: EVENTS.filter((event) => asked.includes(event)),
            description: wish.description,
        };
        streams.set(id, {
            config,
            status: { stream_id: id, status: 'enabled' },
            waiting: new Map(),
            wake() {},
            authorization: delivery.authorization_header,
        });
        log.created += 1;
        return [201, config];
    }
    if (request.method === 'GET') {
        return [200, url.searchParams.has('stream_id') ? streamOf(url).config : [...streams.values()].map((s) => s.config)];
    }
    if (request.method === 'DELETE') {
        streams.delete(streamOf(url).config.stream_id);
        log.deleted += 1;
        return [204];
    }
    throw new Refusal(405);
}

async function verify(request) {
    const { stream_id: id, state } = await json(request);
    const stream = streams.get(id);
    if (!stream) throw new Refusal(404);
    required(state === undefined || typeof state === 'string');
    log.verifications.push(state);
    const event = { [VERIFICATION]: { state: given.wrongState ? 'another state' : state } };
    const subject = { format: 'opaque', id };
    // §8.1.4.2: the event comes on its own, after the answer.
    const comes = async () => deliver(stream, await signed(stream, event, subject));
    setTimeout(() => comes().catch((error) => console.error(error.message)), 10);
    return [204];
}

/** RFC 8936 §2 */
async function poll(request, id) {
    const stream = streams.get(id);
    if (!stream) throw new Refusal(404);
    const { maxEvents, returnImmediately = false, ack = [], setErrs = {}, ...others } = await json(request);
    required(Object.keys(others).length === 0 && typeof returnImmediately === 'boolean');
    required(maxEvents === undefined || (Number.isInteger(maxEvents) && maxEvents >= 0));
    required(Array.isArray(ack) && ack.every((jti) => typeof jti === 'string'));
    for (const [jti, { err, description }] of Object.entries(setErrs)) {
        required(typeof err === 'string' && typeof description === 'string' && request.headers['content-language'] === 'en');
        log.refused[jti] = { err, description };
        stream.waiting.delete(jti);
    }
    for (const jti of given.isDeaf ? [] : ack) {
        if (stream.waiting.delete(jti)) log.acknowledged.push(jti);
    }
    log.polls += 1;
    if (stream.waiting.size === 0 && !returnImmediately && maxEvents !== 0 && given.holdFor > 0) {
        await new Promise((resolve) => {
            stream.wake = resolve;
            setTimeout(resolve, given.holdFor);
            request.socket.once('close', resolve);
        });
    }
    const sets = [...stream.waiting].slice(0, maxEvents ?? 100);
    log.empty += sets.length === 0 ? 1 : 0;
    return [200, { sets: Object.fromEntries(sets), moreAvailable: given.lies || sets.length < stream.waiting.size }];
}

async function emit(request) {
    const { events, subject, ...overrides } = JSON.parse(await body(request));
    const [stream] = streams.values();
    return [200, await deliver(stream, await signed(stream, events, subject, overrides))];
}

/** §8.1.5: the transmitter says that it has another status, and then has it. */
async function update(request) {
    const { status, reason } = JSON.parse(await body(request));
    const [stream] = streams.values();
    const id = stream.config.stream_id;
    stream.status = { stream_id: id, status, reason };
    return [200, await deliver(stream, await signed(stream, { [STREAM_UPDATED]: { status, reason } }, { format: 'opaque', id }))];
}

async function control(request, action) {
    if (action === 'update') return update(request);
    if (action === 'emit') return emit(request);
    if (action === 'log') return [200, { ...log, streams: [...streams.values()].map((s) => s.config) }];
    if (action === 'forget') {
        // Polls that are held are answered.
        const lost = [...streams.values()];
        streams.clear();
        lost.forEach((stream) => stream.wake());
        return [204];
    }
    Object.assign(given, JSON.parse(await body(request)));
    return [204];
}

async function answer(request) {
    const url = new URL(request.url, issuer);
    const [, place, what, id] = url.pathname.split('/');
    if (place === 'control') return control(request, what);
    if (url.pathname === '/jwks.json') return [200, { keys: [jwk] }];
    if (url.pathname === '/.well-known/ssf-configuration') {
        return [200, {
            spec_version: '1_0',
            issuer,
            jwks_uri: `${issuer}/jwks.json`,
            delivery_methods_supported: [PUSH, POLL],
            configuration_endpoint: `${issuer}/ssf/streams`,
            status_endpoint: `${issuer}/ssf/status`,
            verification_endpoint: `${issuer}/ssf/verify`,
            authorization_schemes: [{ spec_urn: 'urn:ietf:rfc:6749' }],
            default_subjects: given.defaultSubjects,
        }];
    }
    if (place !== 'ssf') throw new Refusal(404);
    if (request.headers.authorization !== `Bearer ${RECEIVER_TOKEN}`) {
        log.unauthorized += 1;
        throw new Refusal(401, { 'www-authenticate': 'Bearer' });
    }
    const fault = given.faults.shift();
    if (fault) throw new Refusal(fault.status, fault.headers);
    if (what === 'streams') return configuration(request, url);
    if (what === 'status' && request.method === 'GET') return [200, streamOf(url).status];
    if (what === 'verify' && request.method === 'POST') return verify(request);
    if (what === 'poll' && request.method === 'POST') return poll(request, id);
    throw new Refusal(405);
}

const server = createServer(async (request, response) => {
    try {
        const [status, value] = await answer(request);
        response.writeHead(status, value === undefined ? {} : { 'content-type': 'application/json', 'cache-control': 'no-store' });
        response.end(value === undefined ? undefined : JSON.stringify(value));
    } catch (error) {
        if (!(error instanceof Refusal)) console.error(error);
        response.writeHead(error.status ?? 500, error.headers ?? {});
        response.end();
    }
});
await new Promise((listening) => server.listen(0, '127.0.0.1', listening));
const issuer = `http://127.0.0.1:${server.address().port}`;
console.log(issuer);
process.stdin.resume().on('end', () => process.exit());
