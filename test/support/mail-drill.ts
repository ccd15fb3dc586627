// The drill of a provider that takes no idempotency key: real processes, each with a relay and a worker, on a real Postgres, against the
// provider's stand-in, through errors, rate limits, lost answers and a killed process.

import { expect } from 'vitest';
import { prepareEmail } from '../../src/email/email.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { fleetWorld, type World } from './fleet-world.ts';
import type { Accepted, Deviation, MailApi, MailApiOptions, Reply } from './mail-api.ts';
import { until } from './wait.ts';

export type Drill = {
  readonly provider: string;
  start(options: MailApiOptions): Promise<MailApi>;
  /** The variables of the provider. */
  env(url: string): Readonly<Record<string, string>>;
  /** As the provider documents them; the rate limit is over within two seconds. */
  readonly answers: { readonly rateLimit: () => Reply; readonly error: Reply };
};

const count = 150;

/** Which requests meet what; the rest is accepted and answered. */
function deviationsOf({ answers: { rateLimit, error } }: Drill) {
  const table: readonly [name: string, every: number, at: number, deviation: () => Deviation][] = [
    ['a rate limit', 80, 39, () => ({ say: rateLimit() })],
    ['an error', 25, 7, () => ({ say: error })],
    ['closed', 40, 21, () => ({ say: 'drop' })],
    ['accepted, then an error', 30, 13, () => ({ accept: true, say: error })],
    ['accepted, then closed', 25, 16, () => ({ accept: true, say: 'drop' })],
    ['accepted, then HTML', 45, 33, () => ({ accept: true, say: { status: 200, body: '<html>' } })],
    ['accepted, then no answer in time', 75, 44, () => ({ accept: true, say: 'hang' })],
  ];
  const met = new Set<string>();
  let asked = 0;
  const answer = (): Deviation | undefined => {
    asked += 1;
    const [name, , , deviation] = table.find(([, every, at]) => asked % every === at) ?? [];
    if (name !== undefined) met.add(name);
    return deviation?.();
  };
  return { answer, names: table.map(([name]) => name).toSorted(), met };
}

function message(i: number): NewMessage {
  const to = [`a${i}@b.test`, `c${i}@b.test`];
  const email = { from: 'shop@waybill.test', to, bcc: `h${i}@b.test`, subject: 'Receipt', text: 'Thank you' };
  const payload = prepareEmail(email, { defaultFrom: null });
  return { kind: 'email', name: 'email', queue: 'email', payload };
}

/** Accepted = committed, each duplicate is on record, and nobody gets an email who is not its recipient. */
export async function drillMail(drill: Drill): Promise<void> {
  const { answer, names, met } = deviationsOf(drill);
  const api = await drill.start({ answer });
  const world = await fleetWorld({
    WAYBILL_EMAIL_PROVIDER: drill.provider,
    ...drill.env(api.url),
    WAYBILL_LEASE: '3s',
    WAYBILL_CONCURRENCY: '10',
    PORT: '0',
  });
  try {
    const ids = await deliverAll(world, api);
    const times = Map.groupBy(api.accepted, ({ message: id }) => id);
    expect([...times.keys()].toSorted()).toEqual(ids.toSorted());
    checkRecipients(api.accepted, ids);
    const duplicates = [...times].map(([id, all]) => [id, all.length - 1] as const);
    const recorded = await uncertain(world);
    expect(duplicates.filter(([id, n]) => n > (recorded.get(id) ?? 0))).toEqual([]);
    expect(duplicates.filter(([, n]) => n > 0).length).toBeGreaterThan(5); // without a key they do happen
    expect([...met].toSorted()).toEqual(names);
    const ambiguous = `select count(*)::int as n from waybill.outbox_attempts where outcome = 'ambiguous'`;
    expect(await world.count(ambiguous)).toBeGreaterThan(5);
  } finally {
    await world.end();
    await api.close();
  }
}

/** @returns the ids of the messages, all of them delivered */
async function deliverAll({ fleet, outbox, ...world }: World, api: MailApi): Promise<string[]> {
  const victim = await fleet.start('all');
  const ids = (await outbox.enqueue(Array.from({ length: count }, (_, i) => message(i)))).map(({ id }) => id);
  await until(() => api.accepted.length > 40, { what: '40 acceptances', timeoutMs: 40_000 });
  victim.kill('SIGKILL');
  await victim.ended;
  await fleet.start('all');
  await world.quiet(80_000);
  expect(await world.counts()).toEqual({ delivered: count });
  return ids;
}

function checkRecipients(accepted: readonly Accepted[], ids: readonly string[]): void {
  const place = new Map(ids.map((id, i) => [id, i]));
  for (const { message: id, recipients } of accepted) {
    const i = place.get(id);
    expect(recipients.toSorted()).toEqual([`a${i}@b.test`, `c${i}@b.test`, `h${i}@b.test`]);
  }
}

/** How many attempts of each message may have been accepted without a record of it. */
async function uncertain({ database }: World): Promise<Map<string, number>> {
  const { rows } = await database.db.executeSql<{ id: string; n: number }>(
    `select message_id as id, count(*)::int as n from waybill.outbox_attempts where outcome in ('ambiguous', 'expired') group by 1`,
  );
  return new Map(rows.map(({ id, n }) => [id, n]));
}
