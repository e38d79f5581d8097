"""http.client, requests and curl send a large request with a bad token, and hear the refusal at every size."""
import http.client
import os
import subprocess
import tempfile
from urllib.parse import urlsplit

import requests

gateway, prefix = os.environ['GATEWAY'], os.environ['PREFIX']
host = urlsplit(gateway).netloc
headers = {'authorization': 'Bearer bad.bad.bad', 'content-type': 'text/plain'}

for size in (200_000, 1_000_000, 5_000_000, 20_000_000):
    body = b'x' * size
    for path, expected in (('/v1/echo', 401), (prefix + '/session', 415), (prefix + '/capabilities', 405)):
        for _ in range(10 if path == '/v1/echo' else 3):
            connection = http.client.HTTPConnection(host, timeout=30)
            connection.request('POST', path, body=body, headers=headers)
            answer = connection.getresponse()
            assert answer.status == expected, (size, path, answer.status)
            assert answer.read()
            connection.close()
            assert requests.post(gateway + path, data=body, headers=headers, timeout=30).status_code == expected

    with tempfile.NamedTemporaryFile() as file:
        file.write(body)
        file.flush()
        # curl asks with Expect: 100-continue by itself from 1 MB on; the last two send at once.
        for more in ([], ['-H', 'Expect: 100-continue'], ['-H', 'Expect:'], ['-H', 'Expect:', '-H', 'Transfer-Encoding: chunked'],
                     ['--http2-prior-knowledge']):
            curl = ['curl', '--silent', '--show-error', '--output', os.devnull, '--write-out', '%{http_code}', '--max-time', '30']
            headed = [part for name, value in headers.items() for part in ('-H', f'{name}: {value}')]
            ran = subprocess.run([*curl, *headed, *more, '--data-binary', '@' + file.name, gateway + '/v1/echo'],
                                 capture_output=True, text=True)
            assert (ran.returncode, ran.stdout) == (0, '401'), (size, more, ran)

print('ok')
