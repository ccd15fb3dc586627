import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { failureOf } from '../../src/delivery/failure.ts';
import type { EmailInput } from '../../src/email/email.ts';
import { createInboxProvider } from '../../src/email/inbox.ts';
import { listEmails, readAttachment, readSource, showEmail } from '../../src/email/mailbox.ts';
import { createSmtpProvider } from '../../src/email/smtp/smtp.ts';
import { pruneBatch } from '../../src/relay/prune.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';
import { recordEmail, storeEmail } from '../support/inbox.ts';
import { startSmtp } from '../support/smtp.ts';

// The provider `inbox` and what it stored, on a database of the test's own.
let database: TestDatabase;
const warnings: string[] = [];
const log = { info: () => undefined, warn: (_: object, text: string) => void warnings.push(text) };
const providerOf = (production = false) => createInboxProvider({ db: database.db, production, log });

beforeAll(async () => {
  database = await testDatabase();
});
afterAll(() => database.end());
beforeEach(() => database.db.executeSql('delete from waybill.outbox_messages'));

const rich: EmailInput = {
  from: 'Läden & Söhne <shop@shop.test>',
  to: ['Ann <ann@b.test>', 'bob@b.test'],
  cc: 'Zoë <zoe@b.test>',
  bcc: 'secret@b.test',
  replyTo: 'help@shop.test',
  subject: 'Grüße: 100 % — a subject that is long enough to be folded over more than one line of the header',
  html: `<p>Grüße</p>\n<p>${'long '.repeat(40)}</p>\r\n.\n..dots\n`,
  text: 'Grüße\nsecond line\r\n.\nthird line without an end',
  headers: { 'X-Campaign': 'zwölf', 'X-Plain': 'p' },
  attachments: [
    { filename: 'räksmörgås.txt', content: 'smörgås\n' },
    { filename: 'dot.gif', content: 'R0lGODlhAQABAAAAACw=', encoding: 'base64', contentType: 'image/gif' },
    { filename: 'mail.eml', content: 'Subject: in\r\n\r\nIt’s inside\r\n', contentType: 'message/rfc822' },
  ],
};

describe('the provider inbox', () => {
  it('D: a repeated key stores nothing again', async () => {
    const { id, email, handover } = await recordEmail(database.db, { subject: 'first' });
    const provider = providerOf();
    expect(provider).toMatchObject({ name: 'inbox', idempotent: true });
    expect(await provider.send(email, handover)).toEqual({
      accepted: ['ann@b.test'],
      rejected: [],
      response: 'stored in the inbox',
    });
    await provider.send({ ...email, subject: 'second' }, handover);
    const { mails } = await listEmails(database.db);
    expect(mails.map(({ id: one, subject }) => [one, subject])).toEqual([[id, 'first']]);
  });

  it.each<[string, Partial<EmailInput>]>([
    ['with all it can have', rich],
    ['text alone', { text: 'one\ntwo\r\n.\r\nthree' }],
    ['html alone', { text: undefined, html: '<b>ü</b>' }],
    ['lines of 2,000 characters', { text: `${'x'.repeat(2_000)}\n${'ü'.repeat(2_000)}` }],
    ['broadcast', { stream: 'broadcast', unsubscribeUrl: 'https://shop.test/u?id=7' }],
    ['an empty last line', { text: 'one\n\n\n' }],
  ])('the source is what smtp sends, byte for byte: %s', async (_, input) => {
    const smtp = await startSmtp();
    const sender = createSmtpProvider({ url: smtp.url, leaseMs: 15_000 });
    try {
      const { id, email, handover } = await recordEmail(database.db, input);
      await sender.send(email, handover);
      await providerOf().send(email, handover);
      const source = await readSource(database.db, id);
      expect(source.toString('latin1')).toBe(smtp.mails[0]!.source);
      const { from, recipients } = await showEmail(database.db, id);
      expect({ from, to: recipients }).toEqual(smtp.mails[0]!.envelope);
    } finally {
      await sender.close?.();
      await smtp.close();
    }
  });

  it('a database that does not answer is a transient failure, and no doubt is left', async () => {
    const { email, handover } = await recordEmail(database.db);
    const db = { executeSql: () => Promise.reject(new Error('the connection broke: ann@b.test')) };
    const sent = createInboxProvider({ db, production: false, log }).send(email, handover);
    const failure = failureOf(await sent.catch((error: unknown) => error));
    expect(failure).toEqual({ type: 'transient', message: expect.not.stringContaining('ann@') as string });
  });

  it('in production it warns that no mail leaves, elsewhere it does not', () => {
    warnings.length = 0;
    providerOf(false);
    expect(warnings).toEqual([]);
    providerOf(true);
    expect(warnings).toEqual([expect.stringMatching(/none is sent/)]);
  });
});

describe('the mailbox', () => {
  it('lists newest first, page by page, and finds parts of recipients and subjects', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 5; i++)
      ids.unshift(await storeEmail(database.db, { subject: `Nr. ${i} 100%_`, to: `Ann-${i}@b.test` }));
    const first = await listEmails(database.db, { limit: 2 });
    const second = await listEmails(database.db, { limit: 2, cursor: first.nextCursor! });
    const third = await listEmails(database.db, { limit: 2, cursor: second.nextCursor! });
    expect([first, second, third].flatMap(({ mails }) => mails.map(({ id }) => id))).toEqual(ids);
    expect(third.nextCursor).toBeNull();
    const found = async (search: string) =>
      (await listEmails(database.db, { search })).mails.map(({ subject }) => subject);
    expect(await found('ann-3@B.TEST')).toEqual(['Nr. 3 100%_']);
    expect(await found('nR. 1')).toEqual(['Nr. 1 100%_']);
    expect(await found('%')).toHaveLength(5);
    expect(await found('_x')).toEqual([]);
    expect(await found('hi')).toEqual([]); // bodies are not searched
    await expect(listEmails(database.db, { cursor: '1; drop' })).rejects.toMatchObject({
      code: 'invalid_cursor',
    });
  });

  it('shows one mail: envelope, bodies, headers as they go out, attachments', async () => {
    const id = await storeEmail(database.db, rich);
    const mail = await showEmail(database.db, id);
    expect(mail).toMatchObject({
      id,
      from: 'shop@shop.test',
      recipients: ['ann@b.test', 'bob@b.test', 'zoe@b.test', 'secret@b.test'],
      subject: rich.subject,
      html: rich.html,
      text: rich.text,
      attachments: [
        { index: 0, filename: 'räksmörgås.txt', contentType: null },
        { index: 1, filename: 'dot.gif', contentType: 'image/gif' },
        { index: 2, filename: 'mail.eml', contentType: 'message/rfc822' },
      ],
    });
    const headers = new Map(mail.headers.map(({ name, value }) => [name, value]));
    expect(headers.get('Message-ID')).toBe(`<${id}@shop.test>`);
    expect(headers.get('X-Plain')).toBe('p');
    expect(headers.has('Bcc')).toBe(false);
    expect(mail.headers.every(({ name }) => /^[A-Za-z-]+$/.test(name))).toBe(true);
    expect(String((await readAttachment(database.db, id, 0)).content)).toBe('smörgås\n');
    expect((await readAttachment(database.db, id, 1)).content).toHaveLength(14);
    await expect(readAttachment(database.db, id, 3)).rejects.toMatchObject({ code: 'not_found' });
  });

  it('no such mail: not_found; no id: invalid_id', async () => {
    const nobody = '0199c0de-0000-7000-8000-000000000000';
    for (const read of [showEmail, readSource]) {
      await expect(read(database.db, nobody)).rejects.toMatchObject({ code: 'not_found' });
      await expect(read(database.db, '../etc')).rejects.toMatchObject({ code: 'invalid_id' });
    }
  });

  it('a mail goes with its message', async () => {
    const [id, other] = [await storeEmail(database.db, rich), await storeEmail(database.db)];
    await database.db.executeSql(
      `update waybill.outbox_messages set status = 'dead', dead_at = now() - interval '2 days', attempts = 1 where id = $1`,
      [id],
    );
    const retention = { deliveredMs: 86_400_000, deadMs: 86_400_000, keyMs: 86_400_000 };
    expect((await pruneBatch(database.db, retention, 100)).pruned).toEqual([{ status: 'dead', n: 1 }]);
    expect((await listEmails(database.db)).mails.map((mail) => mail.id)).toEqual([other]);
  });
});
