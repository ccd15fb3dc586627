// SMTP_URL: what is taken and what is refused, each with its part and never with a value; and the name in EHLO.

import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, test } from 'vitest';
import { isSmtpName, smtpName, type Machine } from '../../src/smtp/name.ts';
import { readSmtpUrl, SmtpUrlError } from '../../src/smtp/server.ts';
import { localhost } from '../support/certificates.ts';

const dir = mkdtempSync(join(tmpdir(), 'smtp-url-'));
const certificate = join(dir, 'authority.pem');
writeFileSync(certificate, localhost.cert);
const noCertificate = join(dir, 'key.pem');
writeFileSync(noCertificate, 'hello');
afterAll(() => rmSync(dir, { recursive: true }));

describe('taken', () => {
  test.each<[string, Record<string, unknown>]>([
    ['smtp://mail.test', { host: 'mail.test', port: 587, secure: false, tls: 'opportunistic', login: null }],
    ['smtps://mail.test', { port: 465, secure: true, tls: 'required' }],
    ['SMTP://mail.test:25/', { port: 25 }],
    ['smtp://me:pw@mail.test:2525', { login: { user: 'me', pass: 'pw' }, tls: 'required' }],
    ['smtp://me:pw@127.0.0.1:1025', { tls: 'opportunistic' }],
    ['smtp://me:pw@[::1]:1025', { host: '::1', tls: 'opportunistic' }],
    [
      'smtp://me%40shop.test:p%3Aa%2Fs%40s%25%23@h:587',
      { login: { user: 'me@shop.test', pass: 'p:a/s@s%#' } },
    ],
    ['smtp://me@shop.test:pw@h', { login: { user: 'me@shop.test', pass: 'pw' }, host: 'h' }],
    ['smtp://me:p:w@h', { login: { user: 'me', pass: 'p:w' } }],
    ['smtp://mäil.test', { host: 'xn--mil-qla.test' }],
    ['smtp://mail_server:25', { host: 'mail_server' }],
    ['smtp://h?tls=required', { tls: 'required', tlsChosen: true }],
    ['smtp://h?tls=off', { tls: 'off' }],
    ['smtp://h:25/?tls=opportunistic', { tls: 'opportunistic', tlsChosen: true }],
    [`smtp://h?tls=required&ca=${certificate}`, { tls: 'required', authority: localhost.cert }],
    [`smtps://me:pw@h?ca=${encodeURIComponent(certificate)}`, { authority: localhost.cert }],
  ])('%s', (url, server) => {
    expect(readSmtpUrl(url)).toMatchObject(server);
  });
});

const secret = 'S3cret';

describe('refused, and the part is named', () => {
  test.each<[string, RegExp]>([
    [`smtp://apikey:25#${secret}@host:587`, /# in user or password.*%23/],
    [`smtp://apikey:${secret}/x@host:587`, /\/ in user or password.*%2F/],
    [`smtp://apikey:${secret}?x@host:587`, /\? in user or password.*%3F/],
    [`smtp://apikey:${secret}\\x@host:587`, /\\ in user or password.*%5C/],
    [`smtp://me@shop.test:25#${secret}@host`, /# in user or password/],
    ['smtp://host:465', /465.*smtps:\/\//],
    ['smtp://me:pw@host:465', /465/],
    ['smtps://host:587', /587.*smtp:\/\//],
    ['smtps://host:25', /port 25/],
    ['smtp://h:0', /port 0/],
    ['smtp://h:99999', /port.*1 to 65535/],
    ['smtp://h:', /port/],
    ['smtp://h:25a', /port/],
    [`smtp://apikey:${secret}`, /port/],
    ['smtp://user@h:25', /no password/],
    ['smtp://user:@h:25', /no password/],
    [`smtp://:${secret}@h`, /no user/],
    ['smtp://@h', /no user/],
    ['smtp://u:50%off@h:25', /%25/],
    ['smtp://u:%ff@h', /UTF-8/],
    ['smtp://u:a%0d%0ab@h', /control character/],
    ['smtp://h ost:25', /space/],
    [`smtp://u:my ${secret}@h`, /space/],
    ['smtp://', /no host/],
    ['smtp://:25', /no host/],
    ['smtp://u:p@', /no host/],
    ['smtp://u:p@:587', /no host/],
    ['smtp://-bad-', /host/],
    ['smtp://256.1.1.1', /host/],
    ['smtp://[::zz]', /host/],
    ['smtp://::1', /host|port/],
    ['smtp://a..b', /host/],
    ['smtp:host:25', /smtp:\/\//],
    ['mail.test:587', /begins with smtp:\/\//],
    ['https://mail.test', /begins with smtp:\/\//],
    ['smtp://h/path', /path/],
    ['smtp://h:25//', /path/],
    ['smtp://h#x', /fragment/],
    ['smtp://h?tls.rejectUnauthorized=false', /parameters other than tls and ca/],
    ['smtp://h?tsl=required', /was tls meant/],
    ['smtp://h?tls=yes', /required, opportunistic, off/],
    ['smtp://h?tls=required&tls=off', /twice/],
    ['smtps://h?tls=off', /smtps:\/\//],
    ['smtp://me:pw@h?tls=off', /in clear/],
    ['smtp://me:pw@h?tls=opportunistic', /in clear/],
    ['smtp://h?ca=', /ca without a file/],
    [`smtp://h?ca=${dir}/missing.pem`, /ENOENT/],
    [`smtp://h?ca=${dir}`, /EISDIR/],
    [`smtp://h?ca=${noCertificate}`, /no certificate/],
    [`smtp://h?tls=off&ca=${certificate}`, /nobody would look at/],
  ])('%s', (url, message) => {
    let error: unknown;
    try {
      readSmtpUrl(url);
    } catch (caught) {
      error = caught;
    }
    expect(error).toBeInstanceOf(SmtpUrlError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain(secret);
  });

  test('a megabyte of anything takes no time', () => {
    for (const sign of [' ', '@', ':', '/', '?', '#', '[', '%', '.', 'a', '-', '?tls=&'])
      expect(() => readSmtpUrl(`smtp://${sign.repeat(1_000_000 / sign.length)}`)).toThrow(SmtpUrlError);
  });
});

describe('the name in EHLO', () => {
  const machine = (hostname: string, ...addresses: string[]): Machine => ({
    hostname,
    addresses: addresses.map((address) => ({ address, family: address.includes(':') ? 'IPv6' : 'IPv4' })),
  });
  test.each<[string, string | null, string | null, Machine, string]>([
    ['what is configured', 'mail.shop.test', 'a@b.test', machine('web.shop.test'), 'mail.shop.test'],
    ["the host's full name", null, 'a@b.test', machine('web.shop.test'), 'web.shop.test'],
    ["a container's name is none", null, 'Shop <a@b.test>', machine('8f3c2e', '10.0.0.7'), 'b.test'],
    ['a name of the local network is none', null, 'a@b.test', machine('mac.local'), 'b.test'],
    ['a sender with an IDN', null, 'a@mäger.ee', machine('8f3c2e'), 'xn--mger-loa.ee'],
    ['a name with an address in it', null, '"x@y" <a@b.test>', machine('8f3c2e'), 'b.test'],
    ['no sender: the address', null, null, machine('8f3c2e', '10.0.0.7'), '[10.0.0.7]'],
    ['no sender, IPv6 alone', null, null, machine('8f3c2e', 'fe80::1%eth0'), '[IPv6:fe80::1]'],
    ['nothing at all', null, null, machine('8f3c2e'), 'localhost'],
  ])('%s', (_, configured, sender, on, name) => {
    expect(smtpName(configured, sender, on)).toBe(name);
  });

  test.each([
    'mail',
    'mail.',
    '-a.test',
    'a b.test',
    '10.0.0.1',
    '[10.0.0]',
    '[::1]',
    'a_b.test',
    '',
    'a.test\r\nRSET',
  ])('%j is none', (name) => expect(isSmtpName(name)).toBe(false));
  test.each(['a.test', 'a-b.c1.test', '[10.0.0.1]', '[IPv6:::1]'])('%s is one', (name) =>
    expect(isSmtpName(name)).toBe(true),
  );
});
