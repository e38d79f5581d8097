// oauth4webapi signs a person in, by the device grant or by a code with PKCE, and refreshes once.

import assert from 'node:assert/strict';
import * as oauth from 'oauth4webapi';
import { browse, isSignedIn, loopback } from './person.mjs';

const { GATEWAY, CLIENT_ID, FLOW, USER } = process.env;
const http = { [oauth.allowInsecureRequests]: true };
const issuer = new URL(GATEWAY);
const found = await oauth.discoveryRequest(issuer, { algorithm: 'oauth2', ...http });
const server = await oauth.processDiscoveryResponse(issuer, found);
const client = { client_id: CLIENT_ID };

const byDevice = async () => {
    const asked = await oauth.deviceAuthorizationRequest(server, client, oauth.None(), {}, http);
    const device = await oauth.processDeviceAuthorizationResponse(server, client, asked);
    browse(device.verification_uri_complete);
    let interval = device.interval ?? 5;
    for (;;) {
        await new Promise((resolve) => setTimeout(resolve, interval * 1000));
        const answer = await oauth.deviceCodeGrantRequest(server, client, oauth.None(), device.device_code, http);
        try {
            return await oauth.processDeviceCodeResponse(server, client, answer);
        } catch (error) {
            assert(error instanceof oauth.ResponseBodyError, error);
            if (error.error === 'slow_down') interval += 5;
            else assert.equal(error.error, 'authorization_pending');
        }
    }
};

const byCode = async () => {
    const { redirectUri, arrived } = await loopback();
    const verifier = oauth.generateRandomCodeVerifier();
    const state = oauth.generateRandomState();
    const url = new URL(server.authorization_endpoint);
    url.search = new URLSearchParams({
        response_type: 'code',
        client_id: CLIENT_ID,
        redirect_uri: redirectUri,
        state,
        code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
        code_challenge_method: 'S256',
    });
    browse(url);
    const parameters = oauth.validateAuthResponse(server, client, await arrived, state);
    const answer = await oauth.authorizationCodeGrantRequest(
        server, client, oauth.None(), parameters, redirectUri, verifier, http,
    );
    return oauth.processAuthorizationCodeResponse(server, client, answer);
};

const token = await { device: byDevice, code: byCode }[FLOW]();
await isSignedIn(GATEWAY, token.access_token, USER);

const refreshed = await oauth.refreshTokenGrantRequest(server, client, oauth.None(), token.refresh_token, http);
const next = await oauth.processRefreshTokenResponse(server, client, refreshed);
await isSignedIn(GATEWAY, next.access_token, USER);
console.log('ok');
