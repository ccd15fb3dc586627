// What the worker of a peer does: the same parts of an order as Waybill's application (../app.ts). Plain JavaScript, because the peers' packages are
// those of bench/, which the type check of the project does not have.

import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import nodemailer from 'nodemailer';
import pg from 'pg';
import { doWork, note } from '../work.ts';

export const slots = Number(process.env.SLOTS);
export const databaseUrl = process.env.DATABASE_URL;
/** With the settings that its documentation recommends for jobs that must not be lost; else its defaults. */
export const isTuned = process.env.TUNED === 'yes';

/** A package of bench/. */
export const fromBench = (name) =>
  import(
    pathToFileURL(createRequire(new URL('../../bench/package.json', import.meta.url)).resolve(name)).href
  );

// With timeouts, as an application that must survive a silent network has them; pg has none by default.
export const pool = new pg.Pool({
  connectionString: databaseUrl,
  max: slots + 2,
  connectionTimeoutMillis: 5_000,
  query_timeout: 10_000,
});
pool.on('error', () => undefined); // faults end its connections, too

const mails = nodemailer.createTransport({
  url: process.env.SMTP_URL,
  host: new URL(process.env.SMTP_URL).hostname,
  port: Number(new URL(process.env.SMTP_URL).port),
  name: process.env.WAYBILL_SMTP_NAME,
  ignoreTLS: true,
});

async function send(message, { work }) {
  await mails.sendMail({
    from: 'shop@chaos.example',
    to: 'customer@chaos.example',
    subject: 'Order',
    text: 'Thank you.',
    messageId: `<${message}@chaos.example>`,
    headers: { 'X-Chaos-Work': work },
  });
}

/** @param write runs a statement; by default in a transaction of its own, because the peer settles the job in another */
async function work(message, attempt, given, write = (sql, values) => pool.query(sql, values)) {
  await doWork({ ...given, message, attempt }, async () => {
    await write('insert into chaos.effects (work, attempt, pid) values ($1, $2, $3)', [
      given.work,
      attempt,
      process.pid,
    ]);
    if (given.account !== undefined)
      await write('insert into chaos.sequence (account, seq) values ($1, $2)', [given.account, given.seq]);
  });
}

/** @returns what handles a job of this name */
export const handlerOf = (name) =>
  name === 'email'
    ? async (message, attempt, given) => {
        note({ work: given.work, message, attempt, what: 'began' });
        await send(message, given);
        note({ work: given.work, message, attempt, what: 'ended' });
      }
    : work;

export const names = ['email', 'job', 'listener', 'account'];

/** Says that the worker works, and ends it on SIGTERM as the peer's documentation has it. */
export function live(stop) {
  console.log('worker: started');
  let ending = false;
  process.on('SIGTERM', () => {
    if (ending) return;
    ending = true;
    void stop().finally(() => process.exit(0));
  });
}
