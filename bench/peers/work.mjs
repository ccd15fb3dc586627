// What users do, in a peer: the same as bench/app.ts has it for us. The benchmark names the work; `noop` has nothing of it.

import { setTimeout as sleep } from 'node:timers/promises';
import { now } from './serve.mjs';

export const work = process.env.WORK ?? 'noop';

/** Jobs at a time in a process of the fleet; without it, as the peer's own pages tune it. */
export const slots = work === 'fleet' ? Number(process.env.SLOTS) : undefined;

/** Of jobs that are put in: a number each, and for emails the whole email. */
const shared = work === 'emails' ? JSON.parse(process.env.EMAIL) : {};
export const payloadsOf = (from, to) =>
  Array.from({ length: to - from }, (_, i) => (work === 'noop' ? {} : { ...shared, n: from + i }));

export const table =
  'create table if not exists written (n int not null, written_at timestamptz not null default now())';
export const insert = 'insert into written (n) values ($1)';

/** Names of the jobs that an application's transaction adds: one, or those of an action. */
export const added = work === 'action' ? ['email', 'listener', 'job'] : [work];

/**
 * Handlers by the names of their jobs. Each gets the payload, and what its library gives it beside.
 * @param write inserts one row
 * @param fanOut adds two jobs called `listener`
 */
export function createHandlers(counter, { write, fanOut }) {
  const began = (name) => [name, ({ n }) => void counter.began.set(`${name} ${n}`, now())];
  const all = {
    noop: {
      noop(payload) {
        if (payload.n !== undefined) counter.began.set(payload.n, now());
      },
    },
    jobs: { jobs: write },
    emails: { emails: print },
    events: { events: fanOut, listener: write },
    fleet: { fleet: () => sleep(Number(process.env.WAIT_MS)) },
    action: Object.fromEntries(added.map(began)),
  };
  return all[work];
}

/** As our provider `log` shows an email: readable, each line by itself, on standard output. */
function print(email) {
  const { name, address } = email.from;
  const head = [
    `From: ${name} <${address}>`,
    `To: customer-${email.n}@shop.example`,
    `Subject: ${email.subject}`,
    `Message-ID: <${crypto.randomUUID()}@shop.example>`,
  ];
  const text = [...head, '', email.text, '', email.html].join('\n');
  const lines = text.split(/\r\n|\r|\n/).map(visible);
  process.stdout.write(`${['', '── email ──', ...lines].join('\n│ ')}\n\n`);
}

/** Characters that a terminal would obey are shown as escapes. */
const visible = (line) =>
  line.replaceAll(/(?!\t)[\p{Cc}\p{Cs}\u200b\u200e\u200f\u2028-\u202e\ufeff]/gu, (char) =>
    JSON.stringify(char).slice(1, -1),
  );
