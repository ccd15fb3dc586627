// TLS of the provider smtp against real certificates: only a trusted one of the right name is talked to.

import { execFile } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { SMTPServer } from 'smtp-server';
import { afterEach, beforeAll, afterAll, expect, test } from 'vitest';
import { localhost, otherName, type Certificate } from '../support/certificates.ts';

let dir: string;
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'tls-'));
});
afterAll(() => rmSync(dir, { recursive: true }));
const servers: SMTPServer[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) await new Promise<void>((done) => server.close(() => done()));
});

type Kind = {
  readonly certificate: Certificate;
  readonly secure: boolean;
  readonly mails?: string[];
  /** It offers no STARTTLS. */
  readonly inClear?: boolean;
};

async function serve({ certificate, secure, mails = [], inClear = false }: Kind): Promise<number> {
  const server = new SMTPServer({
    secure,
    ...certificate,
    authOptional: true,
    ...(inClear && { hideSTARTTLS: true, disabledCommands: ['STARTTLS'] }),
    logger: false,
    closeTimeout: 10,
    onAuth: (_, __, done) => done(null, { user: 'me' }),
    onData(stream, session, done) {
      stream.resume().once('end', () => {
        mails.push(session.secure ? 'over TLS' : 'in clear');
        done();
      });
    },
  });
  server.on('error', () => undefined); // clients that do not trust it leave in the handshake
  servers.push(server);
  const listener = server.listen(0, '127.0.0.1');
  await new Promise((resolve) => listener.once('listening', resolve));
  return (listener.address() as AddressInfo).port;
}

async function send(url: string, trusted?: Certificate): Promise<Record<string, unknown>> {
  const authority = join(dir, 'authority.pem');
  writeFileSync(authority, trusted?.cert ?? '');
  const { stdout } = await promisify(execFile)(
    process.execPath,
    ['--import', 'tsx', 'test/support/tls-trial.ts', url],
    {
      env: { PATH: process.env['PATH'], ...(trusted && { NODE_EXTRA_CA_CERTS: authority }) },
    },
  );
  return JSON.parse(stdout) as Record<string, unknown>;
}

test.each([true, false])(
  'a trusted certificate of the right name (secure from the start: %s)',
  async (secure) => {
    const mails: string[] = [];
    const port = await serve({ certificate: localhost, secure, mails });
    const url = `${secure ? 'smtps' : 'smtp'}://me:secret@localhost:${port}`;
    expect(await send(url, localhost)).toMatchObject({ accepted: ['ann@b.test'] });
    expect(mails).toEqual(['over TLS']);
  },
);

test.each<[string, RegExp, Certificate, Certificate | undefined]>([
  ['of another name', /no trusted encryption.*altnames/is, otherName, otherName],
  ['that nobody trusts', /no trusted encryption.*self-signed/is, localhost, undefined],
])(
  'a certificate %s: the operator’s matter, and nothing is said',
  async (_, message, certificate, trusted) => {
    for (const secure of [true, false]) {
      const mails: string[] = [];
      const port = await serve({ certificate, secure, mails });
      const end = await send(`${secure ? 'smtps' : 'smtp'}://me:secret@localhost:${port}`, trusted);
      expect(end).toMatchObject({ type: 'operator', message: expect.stringMatching(message) });
      expect(mails).toEqual([]);
    }
  },
);

test('TLS to a server that speaks none', async () => {
  const port = await serve({ certificate: localhost, secure: false });
  expect(await send(`smtps://me:secret@localhost:${port}`, localhost)).toMatchObject({ type: 'operator' });
});

test('without a login, tls=required insists on it, and tls=off goes without', async () => {
  const mails: string[] = [];
  const bare = await serve({ certificate: localhost, secure: false, mails, inClear: true });
  expect(await send(`smtp://localhost:${bare}?tls=required`, localhost)).toMatchObject({
    type: 'operator',
    message: expect.stringMatching(/no trusted encryption/),
  });
  expect(mails).toEqual([]);
  expect(await send(`smtp://localhost:${bare}`, localhost)).toMatchObject({ accepted: ['ann@b.test'] });
  const offering = await serve({ certificate: localhost, secure: false, mails });
  expect(await send(`smtp://localhost:${offering}?tls=off`)).toMatchObject({ accepted: ['ann@b.test'] });
  expect(await send(`smtp://localhost:${offering}?tls=required`, localhost)).toMatchObject({
    accepted: ['ann@b.test'],
  });
  expect(mails).toEqual(['in clear', 'in clear', 'over TLS']);
});

test('ca trusts the authority of its file, and no other one', async () => {
  const file = (name: string, { cert }: Certificate): string => {
    writeFileSync(join(dir, name), cert);
    return encodeURIComponent(join(dir, name));
  };
  for (const secure of [true, false]) {
    const mails: string[] = [];
    const port = await serve({ certificate: localhost, secure, mails });
    const url = `${secure ? 'smtps' : 'smtp'}://localhost:${port}?tls=required`;
    expect(await send(`${url}&ca=${file('ours.pem', localhost)}`)).toMatchObject({
      accepted: ['ann@b.test'],
    });
    expect(await send(`${url}&ca=${file('other.pem', otherName)}`)).toMatchObject({
      type: 'operator',
      message: expect.stringMatching(/no trusted encryption/),
    });
    expect(mails).toEqual(['over TLS']);
  }
});
