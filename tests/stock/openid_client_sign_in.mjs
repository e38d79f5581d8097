// openid-client signs a person in, by the device grant or by a code with PKCE, and refreshes once.

import * as client from 'openid-client';
import { browse, isSignedIn, loopback } from './person.mjs';

const { GATEWAY, CLIENT_ID, FLOW, USER } = process.env;
const config = await client.discovery(new URL(GATEWAY), CLIENT_ID, undefined, client.None(), {
    algorithm: 'oauth2',
    execute: [client.allowInsecureRequests],
});

const byDevice = async () => {
    const device = await client.initiateDeviceAuthorization(config, {});
    browse(device.verification_uri_complete);
    return client.pollDeviceAuthorizationGrant(config, device);
};

const byCode = async () => {
    const { redirectUri, arrived } = await loopback();
    const pkceCodeVerifier = client.randomPKCECodeVerifier();
    const expectedState = client.randomState();
    browse(client.buildAuthorizationUrl(config, {
        redirect_uri: redirectUri,
        state: expectedState,
        code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
        code_challenge_method: 'S256',
    }));
    return client.authorizationCodeGrant(config, await arrived, { pkceCodeVerifier, expectedState });
};

const token = await { device: byDevice, code: byCode }[FLOW]();
await isSignedIn(GATEWAY, token.access_token, USER);

const next = await client.refreshTokenGrant(config, token.refresh_token);
await isSignedIn(GATEWAY, next.access_token, USER);
console.log('ok');
