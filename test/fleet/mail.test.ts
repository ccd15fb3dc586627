import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startPostgres, type EmbeddedPostgres } from '../../src/dev/postgres.ts';
import { migrate, standardSources } from '../../src/db/migrate.ts';
import { openDatabase, type Database } from '../../src/db/pool.ts';
import { prepareEmail } from '../../src/email/email.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { suppress, unsuppress } from '../../src/email/suppression.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { showMessage } from '../../src/operate/read.ts';
import { testFleet, type TestFleet } from '../support/fleet.ts';
import { startSmtp, type Answer, type SmtpServer } from '../support/smtp.ts';
import { until } from '../support/wait.ts';

// A server of its own, which crashes; a mail server; a relay and an email worker.
let postgres: EmbeddedPostgres;
let db: Database;
let smtp: SmtpServer;
let fleet: TestFleet;
let reply: Answer = () => undefined;

beforeAll(async () => {
  postgres = await startPostgres({ persistent: false });
  db = openDatabase({ url: postgres.url(), max: 4, applicationName: 'test', onIdleError: () => undefined });
  await migrate(db, standardSources('test/support/fleet-app.ts'));
  smtp = await startSmtp({ answer: (stage, about) => reply(stage, about) });
  fleet = testFleet({
    DATABASE_URL: postgres.url(),
    WAYBILL_APP: 'test/support/fleet-app.ts',
    WAYBILL_EMAIL_PROVIDER: 'smtp',
    SMTP_URL: smtp.url,
  });
  await Promise.all([fleet.start('relay'), fleet.start('email')]);
});
afterAll(async () => {
  await fleet.end();
  await smtp.close();
  await db.end();
  await postgres.end();
});

function message(to: string | readonly string[]): NewMessage {
  const email = {
    from: 'shop@waybill.test',
    to,
    subject: 'Receipt',
    text: 'Thank you',
    html: '<p>Thank you</p>',
  };
  return {
    kind: 'email',
    name: 'email',
    queue: 'email',
    payload: prepareEmail(email, { defaultFrom: null }),
  };
}

async function enqueue(to: string | readonly string[]): Promise<string> {
  return (await createPostgresOutbox(db).enqueue(message(to))).id;
}

async function enqueueMany(count: number): Promise<string[]> {
  const messages = Array.from({ length: count }, (_, i) => message(`many-${i}@b.test`));
  return (await createPostgresOutbox(db).enqueue(messages)).map(({ id }) => id);
}

type Row = { status: string; attempts: number; last_error: string | null };

async function settled(id: string): Promise<Row> {
  const sql = 'select status, attempts, last_error from waybill.outbox_messages where id = $1';
  return until(
    async () => {
      const row = (await db.executeSql<Row>(sql, [id])).rows[0]!;
      return ['delivered', 'dead'].includes(row.status) && row;
    },
    { timeoutMs: 40_000, what: 'the end of the message' },
  );
}

const mailsOf = (id: string) => smtp.mails.filter((mail) => mail.messageId === `<${id}@waybill.test>`);

describe('email', () => {
  it('arrives with both bodies, and its Message-ID is that of the message', async () => {
    const id = await enqueue('Ann <ann@b.test>');
    expect(await settled(id)).toMatchObject({ status: 'delivered', attempts: 1 });
    const [mail, ...more] = mailsOf(id);
    expect(more).toEqual([]);
    expect(mail!.envelope).toEqual({ from: 'shop@waybill.test', to: ['ann@b.test'] });
    expect(mail!.parsed).toMatchObject({ subject: 'Receipt', to: [{ name: 'Ann', address: 'ann@b.test' }] });
    expect([mail!.parsed.text?.trim(), mail!.parsed.html?.trim()]).toEqual(['Thank you', '<p>Thank you</p>']);
  });

  it('a refusal for good is dead at once, with its reason and no whole address', async () => {
    reply = (stage, about) => (stage === 'rcpt' && about.startsWith('nobody') ? 550 : undefined);
    const row = await settled(await enqueue('nobody@b.test'));
    expect(row).toMatchObject({ status: 'dead', attempts: 1 });
    expect(row.last_error).not.toContain('nobody@b.test');
  });

  it('a refusal for now is tried again', async () => {
    let refusals = 1;
    reply = (stage) => (stage === 'data' && refusals-- > 0 ? 451 : undefined);
    const id = await enqueue('later@b.test');
    expect(await settled(id)).toMatchObject({ status: 'delivered', attempts: 2 });
    expect(mailsOf(id)).toHaveLength(1);
  });

  it('of three, who is accepted has it once, who is refused for now gets it later, and the timeline tells', async () => {
    let refusals = 2; // at once with the others, and once more alone
    reply = (stage, about) => {
      if (stage !== 'rcpt') return undefined;
      if (about.startsWith('gone')) return 550;
      return about.startsWith('grey') && refusals-- > 0 ? 451 : undefined;
    };
    const id = await enqueue(['ann@b.test', 'gone@b.test', 'grey@b.test']);
    expect(await settled(id)).toMatchObject({ status: 'delivered', attempts: 1 });
    const children = 'select id from waybill.outbox_messages where parent_id = $1';
    const [child, ...more] = (await db.executeSql<{ id: string }>(children, [id])).rows;
    expect(more).toEqual([]);
    expect(await settled(child!.id)).toMatchObject({ status: 'delivered', attempts: 2 });
    expect(mailsOf(id).map(({ envelope }) => envelope.to)).toEqual([['ann@b.test'], ['grey@b.test']]);
    const { notes } = await showMessage(db, id);
    expect(notes.map(({ type, recipient }) => [type, recipient])).toEqual([
      ['accepted', null],
      ['refused', 'gone@b.test'],
      ['deferred', 'grey@b.test'],
    ]);
  });

  it('who is on the suppression list gets nothing, and that is no error', async () => {
    reply = () => undefined;
    await suppress(db, 'Bounced@b.test', 'bounced');
    const [alone, beside] = [
      await enqueue('bounced@b.test'),
      await enqueue(['ann@b.test', 'bounced@B.test']),
    ];
    expect(await settled(alone)).toMatchObject({ status: 'delivered', last_error: null });
    expect(await settled(beside)).toMatchObject({ status: 'delivered', last_error: null });
    expect(mailsOf(alone)).toEqual([]);
    expect(mailsOf(beside).map(({ envelope }) => envelope.to)).toEqual([['ann@b.test']]);
    expect((await showMessage(db, alone)).notes).toMatchObject([
      { type: 'suppressed', recipient: 'bounced@b.test', detail: 'bounced' },
    ]);
    expect(await unsuppress(db, 'bounced@b.test')).toBe(true);
    const again = await enqueue('bounced@b.test');
    await settled(again);
    expect(mailsOf(again)).toHaveLength(1);
  });

  it('D: Postgres crashes between a delivery and its settling and is back within the lease: nothing is sent twice', async () => {
    let down: Promise<void> | undefined;
    reply = async (stage) => {
      if (stage !== 'data') return undefined;
      down ??= postgres.stop('immediate');
      await down; // every mail of this test is accepted while there is no database to settle it in
      return undefined;
    };
    const ids = await enqueueMany(4);
    await until(() => ids.every((id) => mailsOf(id).length > 0), { what: 'the mails to be accepted' });
    await postgres.start();
    for (const row of await Promise.all(ids.map(settled)))
      expect(row).toMatchObject({ status: 'delivered', attempts: 1 });
    expect(ids.map((id) => mailsOf(id).length)).toEqual(ids.map(() => 1));
  });
});
