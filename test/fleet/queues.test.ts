import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { prepareEmail } from '../../src/email/email.ts';
import type { NewMessage } from '../../src/message/message.ts';
import { listQueues, pauseQueue, resumeQueue } from '../../src/queues/queues.ts';
import type { Running } from '../support/fleet.ts';
import { fleetWorld, type World } from '../support/fleet-world.ts';
import { startSmtp, type SmtpServer } from '../support/smtp.ts';
import { until } from '../support/wait.ts';

let world: World;
const view = async (name: string) =>
  (await listQueues(world.database.db)).find((queue) => queue.name === name)!;

describe('paused', () => {
  beforeAll(async () => {
    world = await fleetWorld({ WAYBILL_CONCURRENCY: '5' });
    await Promise.all([world.fleet.start('relay'), world.fleet.start('jobs'), world.fleet.start('jobs')]);
  });
  afterAll(() => world.end());

  it('holds for every worker and the relay: what runs finishes, the rest waits unharmed, other queues go on', async () => {
    await world.enqueue('work', { ms: 50 }, 300);
    await until(async () => (await world.marks('work')).size > 20, { what: 'work to begin' });
    await pauseQueue(world.database.db, 'jobs', { by: 'test', reason: null });
    const older = `select count(*)::int as n from pg_stat_activity
      where datname = current_database() and xact_start < (select paused_at from waybill.queues where name = 'jobs')`;
    await until(async () => (await world.count(older)) === 0, { what: 'claims that began before the pause' });
    await until(async () => (await view('jobs')).inFlight === 0, { what: 'what runs to finish' });
    const before = (await world.marks('work')).size;
    expect(before).toBeLessThan(300);
    // Fetched parcels are given back, and the relay leaves all of it alone, while an event passes it twice.
    await until(async () => (await view('jobs')).ready === 0, { what: 'the parcels to be given back' });
    for (const n of [1, 2]) {
      await world.enqueue('happened', { n }, 1, { kind: 'event', queue: 'events' });
      await until(async () => (await view('events')).waiting + (await view('events')).ready === 0);
    }
    expect((await world.marks('work')).size).toBe(before);
    expect(await view('jobs')).toMatchObject({ state: 'paused', ready: 0, inFlight: 0 });
    await resumeQueue(world.database.db, 'jobs');
    await world.quiet();
    const marks = await world.marks('work');
    expect([marks.size, Math.max(...marks.values())]).toEqual([300, 1]);
    expect(await world.count('select max(attempts)::int as n from waybill.outbox_messages')).toBeLessThan(3); // `two` fails once
    expect(
      await world.count(`select max(attempts)::int as n from waybill.outbox_messages where name = 'work'`),
    ).toBe(1);
  });
});

describe('parked', () => {
  let smtp: SmtpServer;
  const auth = { user: 'shop', pass: 'the right one' };
  const workers: Running[] = [];
  const levels = ['warn', 'error', 'fatal'];

  beforeAll(async () => {
    smtp = await startSmtp({ auth });
    world = await fleetWorld({
      WAYBILL_EMAIL_PROVIDER: 'smtp',
      SMTP_URL: smtp.url,
      WAYBILL_CONCURRENCY: '20',
      WAYBILL_LEASE: '5s',
    });
    auth.pass = 'somebody changed it';
    workers.push(await world.fleet.start('relay')); // first: it makes the queue's schema, which the others would miss
    workers.push(...(await Promise.all([world.fleet.start('email'), world.fleet.start('email')])));
  });
  afterAll(async () => {
    await world.end();
    await smtp.close();
  });

  it('a wrong password during 1,000 messages: none dead, one alert, all delivered once it is mended', async () => {
    const messages = Array.from({ length: 1_000 }, (_, i): NewMessage => {
      const email = { from: 'shop@waybill.test', to: `a${i}@b.test`, subject: 'Receipt', text: 'Thank you' };
      return {
        kind: 'email',
        name: 'email',
        queue: 'email',
        payload: prepareEmail(email, { defaultFrom: null }),
        maxAttempts: 1,
      };
    });
    await world.outbox.enqueue(messages);
    await until(async () => (await view('email')).state === 'parked', { what: 'the queue to be parked' });
    await until(async () => ((await view('email')).probe?.failed ?? 0) > 0, { what: 'a probe to fail' });
    const all = async (): Promise<boolean> => {
      const { waiting, inFlight } = await view('email');
      return waiting === 1_000 && inFlight === 0; // between two probes
    };
    await until(all, { what: 'every mail to wait' });
    expect(smtp.mails).toEqual([]);
    auth.pass = 'the right one';
    await world.quiet(60_000);
    expect(await world.counts()).toEqual({ delivered: 1_000 });
    expect(new Set(smtp.mails.map((mail) => mail.messageId)).size).toBe(1_000);
    expect(await world.count('select max(attempts)::int as n from waybill.outbox_messages')).toBe(1);
    const alerts = workers.flatMap(({ lines }) =>
      lines.filter(({ level }) => levels.includes(level as string)),
    );
    expect(alerts).toMatchObject([{ queue: 'email', reason: expect.stringContaining('login') as string }]);
    expect(JSON.stringify(alerts)).not.toContain(auth.pass);
    await until(async () => (await world.counter('waybill_queue_parkings_total')) === 1, {
      what: 'the metric',
    });
    expect(await view('email')).toMatchObject({ state: 'open', waiting: 0 });
  });
});
