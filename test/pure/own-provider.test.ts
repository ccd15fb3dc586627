// What a provider of the application's own may return for an email that it accepted. It is doubled; nothing is sent.

import { describe, expect, test } from 'vitest';
import { deliverEmail } from '../../src/delivery/email.ts';
import { prepareEmail } from '../../src/email/email.ts';
import { ownProvider } from '../../src/email/own-provider.ts';
import type { EmailProvider } from '../../src/email/provider.ts';
import { defaultBackoff } from '../../src/message/backoff.ts';

const id = '01900000-0000-7000-8000-000000000001';

/** Delivers one email to two recipients through a provider that returns this. */
async function delivered(returned: unknown) {
  const provider = ownProvider({
    name: 'own',
    idempotent: false,
    send: () => Promise.resolve(returned),
  } as unknown as EmailProvider);
  const email = { from: 'shop@shop.test', to: ['ann@b.test', 'bad@x.test'], subject: 's', text: 't' };
  const message = {
    id,
    kind: 'email',
    name: 'email',
    queue: 'email',
    payload: prepareEmail(email, { defaultFrom: null }),
    attempt: 1,
    maxAttempts: 7,
    claimToken: 't',
    deliveryKey: null,
    requestId: 'r',
    traceparent: null,
    createdAt: new Date('2026-01-01T00:00:00Z'),
  } as const;
  const { outcome } = await deliverEmail(message, new AbortController().signal, {
    mailing: { provider, allowed: () => true, suppressed: async () => new Map() },
    emailFrom: null,
    backoff: defaultBackoff,
    onEmail: () => undefined,
    log: { warn: () => undefined },
  });
  return outcome;
}

const refused = (detail: string) => ({ type: 'refused', recipient: 'bad@x.test', detail });
const withoutReason = refused('refused by the provider, without a reason');

describe('an email that was accepted is delivered, whatever the provider returns', () => {
  test.each<[string, unknown, readonly object[]]>([
    ['nothing', undefined, []],
    ['a text', 'ok', []],
    ['lists that are none', { accepted: 'ann@b.test', rejected: 2 }, []],
    [
      'what nodemailer returns: addresses as texts',
      { accepted: ['ann@b.test'], rejected: ['bad@x.test'], response: '250 ok' },
      [withoutReason],
    ],
    ['a mailbox', { rejected: ['Bad <bad@X.TEST>'] }, [withoutReason]],
    ['nodemailer’s objects', { rejected: [{ name: '', address: 'bad@x.test' }] }, [withoutReason]],
    [
      'an error as the reason',
      { rejected: [{ address: 'bad@x.test', error: new Error('550 unknown') }] },
      [refused('550 unknown')],
    ],
    ['a reason that is null', { rejected: [{ address: 'bad@x.test', error: null }] }, [withoutReason]],
    ['entries that cannot be read', { rejected: [null, 7, {}, { address: 7 }, 'nobody', ''] }, []],
  ])('%s', async (_, returned, notes) => {
    expect(await delivered(returned)).toMatchObject({
      type: 'delivered',
      then: [],
      notes: [{ type: 'accepted' }, ...notes],
    });
  });

  test('a property that throws', async () => {
    const returned = {
      get rejected(): never {
        throw new Error('no list');
      },
    };
    expect(await delivered(returned)).toMatchObject({ type: 'delivered', notes: [{ type: 'accepted' }] });
  });

  test('a recipient that was refused for now gets an email of its own, in the form in which it was recorded', async () => {
    const rejected = [{ address: 'BAD@x.test', error: '450 later', temporary: true }];
    expect(await delivered({ rejected })).toMatchObject({
      then: [{ payload: { only: { recipients: ['bad@x.test'] } } }],
      notes: [{ type: 'accepted' }, { type: 'deferred', recipient: 'bad@x.test' }],
    });
  });

  test('an address that was not asked for gets none', async () => {
    const rejected = [{ address: 'eve@x.test', error: '450 later', temporary: true }];
    expect(await delivered({ rejected })).toMatchObject({
      then: [],
      notes: [{ type: 'accepted' }, { type: 'refused', recipient: 'eve@x.test' }],
    });
  });
});
