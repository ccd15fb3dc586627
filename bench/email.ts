// The email benchmark: what the outbox costs an email. Committed mails go to Postfix's smtp-sink through one relay and one email worker. In
// turns, in the same run, a bare nodemailer pool with as many connections sends the same mails.

import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { connect } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { createTransport } from 'nodemailer';
import { freePort } from '../src/dev/free-port.ts';
import { prepareEmail } from '../src/email/email.ts';
import { poolConnections } from '../src/email/smtp/smtp.ts';
import type { NewMessage } from '../src/message/message.ts';
import { createPostgresOutbox } from '../src/store/postgres.ts';
import { median } from './rounds.ts';
import type { BenchWorld } from './world.ts';

export type EmailBench = {
  readonly messages: number;
  /** Mails per second. */
  readonly rounds: readonly { readonly waybill: number; readonly barePool: number }[];
  readonly waybillPerSecond: number;
  readonly barePoolPerSecond: number;
  readonly ratioToBarePool: number;
};

const sink = '/usr/sbin/smtp-sink';

export async function email(
  { db, start }: BenchWorld,
  messages = 10_000,
  rounds = 3,
): Promise<EmailBench | object> {
  if (!existsSync(sink)) return { skipped: `${sink} is not installed: apt-get install postfix` };
  const port = await freePort();
  const child = spawn(sink, ['-4', `127.0.0.1:${port}`, '500'], {
    stdio: 'ignore',
    ...(process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {}),
  });
  try {
    while (!(await listens(port))) await sleep(10);
    const url = `smtp://127.0.0.1:${port}`;
    await start('relay');
    await start('email', { WAYBILL_EMAIL_PROVIDER: 'smtp', SMTP_URL: url });
    const all: { waybill: number; barePool: number }[] = [];
    for (let round = 0; round < rounds; round++)
      all.push({ barePool: await barePool(url, messages), waybill: await throughOutbox(db, messages) });
    const [waybillPerSecond, barePoolPerSecond] = [
      median(all.map((r) => r.waybill)),
      median(all.map((r) => r.barePool)),
    ];
    return {
      messages,
      rounds: all,
      waybillPerSecond,
      barePoolPerSecond,
      ratioToBarePool: waybillPerSecond / barePoolPerSecond,
    };
  } finally {
    child.kill('SIGKILL');
  }
}

const content = (i: number) => ({
  from: 'shop@shop.test',
  to: `customer-${i}@customers.test`,
  subject: `Your order ${i}`,
  text: `Thank you for your order ${i}.\n`.repeat(10),
  html: `<p>Thank you for your order <b>${i}</b>.</p>`.repeat(10),
});

async function barePool(url: string, messages: number): Promise<number> {
  const transport = createTransport({ pool: true, maxConnections: poolConnections, url });
  const began = performance.now();
  await Promise.all(Array.from({ length: messages }, (_, i) => transport.sendMail(content(i))));
  const seconds = (performance.now() - began) / 1000;
  transport.close();
  return messages / seconds;
}

async function throughOutbox(db: BenchWorld['db'], messages: number): Promise<number> {
  const outbox = createPostgresOutbox(db);
  const availableAt = new Date(Date.now() + 86_400_000);
  const message = (i: number): NewMessage => ({
    kind: 'email',
    name: 'email',
    queue: 'email',
    payload: prepareEmail(content(i), { defaultFrom: null }),
    availableAt,
  });
  for (let i = 0; i < messages; i += 1_000)
    await outbox.enqueue(Array.from({ length: Math.min(1_000, messages - i) }, (_, j) => message(i + j)));
  const began = performance.now();
  await db.executeSql(`update waybill.outbox_messages set available_at = now() where delivered_at is null`);
  await db.executeSql('notify waybill_outbox');
  const open = `select count(*)::int as n from waybill.outbox_messages where delivered_at is null`;
  while ((await db.executeSql<{ n: number }>(open)).rows[0]!.n > 0) await sleep(50);
  return messages / ((performance.now() - began) / 1000);
}

function listens(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true));
    socket.once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}
