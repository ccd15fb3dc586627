// Drills of docs/incidents.md through the console, by keys and forms. Each is set up as its drill by the command line (./drills.ts).

import { expect } from 'vitest';
import { countOf, drills, reached, type Stage } from './drills.ts';
import type { Hand } from './hand.ts';

export type ConsoleDrill = {
  /** Of its section in docs/incidents.md. */
  readonly title: string;
  /** Pages that are opened and acts that are done, at most. */
  readonly steps: number;
  run(hand: Hand, stage: Stage): Promise<void>;
};

const mend = (stage: Stage, fault: string): Promise<unknown> =>
  stage.db.executeSql('delete from faults where name = $1', [fault]);

const form = (act: string): string => `#live form[action$="/${act}"]`;

const receipt: ConsoleDrill = {
  title: 'A receipt did not arrive',
  steps: 3,
  async run(hand, stage) {
    await hand.search('tag:order:981104 status:dead');
    await hand.openRow('a…@customers.exmaple');
    await hand.see('550 5.1.1');
    await hand.fill(`${form('copy')} [name=to]`, 'ann@customers.example');
    await hand.submit(form('copy'));
    await hand.see('250 2.0.0 OK');
    expect(
      await countOf(stage, `status = 'delivered' and parent_id is not null and 'order:981104' = any(tags)`),
    ).toBe(1);
  },
};

const causes: ConsoleDrill = {
  title: 'Messages died of several causes',
  steps: 3,
  async run(hand, stage) {
    await hand.go('g', 'f');
    await hand.see('ENOTFOUND');
    await mend(stage, 'crm');
    const before = await countOf(stage, `name = 'sync-contact' and status = 'delivered'`);
    await hand.follow('ENOTFOUND', '/console/bulk/new?action=retry');
    const shown = await hand.see(/Retry [\d,]+ messages\?/);
    const count = /Retry ([\d,]+) messages/.exec(shown)![1]!;
    await hand.fill('form[action="/console/bulk/start"] [name=reason]', 'the CRM is back');
    await hand.fill('form[action="/console/bulk/start"] [name=expect]', count);
    await hand.submit('form[action="/console/bulk/start"]');
    await hand.see('done');
    await reached(stage, before + stage.sizes.dead * 0.6, `name = 'sync-contact' and status = 'delivered'`);
  },
};

const hang: ConsoleDrill = {
  title: 'A handler hangs',
  steps: 4,
  async run(hand, stage) {
    await hand.go('g', 'r');
    await hand.openRow('charge-card');
    await hand.press('e');
    await hand.fill(`details[data-key=e] [name=reason]`, 'the bank does not answer');
    await hand.submit('details[data-key=e] form');
    await hand.see('Dead');
    await mend(stage, 'bank');
    await hand.press('r');
    await hand.submit('details[data-key=r] form');
    await hand.see('delivered');
  },
};

const who: ConsoleDrill = {
  title: 'Who did this, and why',
  steps: 5,
  async run(hand) {
    await hand.search('tag:who');
    await hand.openRow('sync-contact');
    await hand.see(/retried[^]*by the bulk act [^]* of ann \(console\): the CRM is back/);
    await hand.go('g', 'b');
    await hand.openRow('the CRM is back');
    await hand.see('tag:who');
    await hand.go('g', 'a');
    await hand.see('the CRM is back');
  },
};

const cron: ConsoleDrill = {
  title: 'A cron run is missing',
  steps: 4,
  async run(hand, { db }) {
    await db.executeSql(`delete from waybill.cron_runs`);
    const hour = (ago: number): string => new Date(Date.now() - ago * 3_600_000).toISOString().slice(0, 16);
    await hand.go('g', 'c');
    await hand.openRow('nightly-report');
    await hand.fill('form[action$="/backfill"] [name=from]', hour(5));
    await hand.fill('form[action$="/backfill"] [name=to]', hour(1));
    await hand.submit('form[action$="/backfill"]');
    await hand.see(/Run [45] ticks\?/);
    await hand.submit('form[method=post][action$="/backfill"]');
    await hand.see(/succeeded[^]*succeeded[^]*succeeded[^]*succeeded/);
  },
};

/** More than five pages and acts: the queue is paused before, and opened behind it. */
const wrongEmails: ConsoleDrill = {
  title: 'A deploy recorded wrong emails',
  steps: 7,
  async run(hand, stage) {
    await hand.submit('form[action="/console/queues/email/pause"]');
    await hand.search('tag:welcome status:waiting since:1h');
    await hand.go('*', 'a');
    await hand.submit('form.fields[action="/console/bulk/new"]');
    const count = /Cancel ([\d,]+) messages\?/.exec(await hand.see(/Cancel [\d,]+ messages\?/))![1]!;
    await hand.fill('form[action="/console/bulk/start"] [name=expect]', count);
    await hand.submit('form[action="/console/bulk/start"]');
    await hand.see('done');
    await hand.go('g', 'n');
    await hand.submit('form[action="/console/queues/email/resume"]');
    await reached(stage, 0, `'welcome' = any(tags) and status not in ('cancelled', 'delivered')`);
  },
};

export const consoleDrills: readonly ConsoleDrill[] = [receipt, causes, hang, who, cron, wrongEmails];

/** Brings the incident about, without what other drills left. */
export async function setUp(title: string, stage: Stage): Promise<void> {
  await stage.db.executeSql('truncate waybill.outbox_messages cascade');
  await drills.find((drill) => drill.title === title)!.setup(stage);
}
