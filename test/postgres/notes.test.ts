import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createMemoryOutbox } from '../../src/store/memory.ts';
import type { Note } from '../../src/message/outcome.ts';
import { noteReport, type Report } from '../../src/outbox/note.ts';
import type { OutboxPort } from '../../src/outbox/port.ts';
import { createPostgresOutbox } from '../../src/store/postgres.ts';
import { showMessage } from '../../src/operate/read.ts';
import { testDatabase, type TestDatabase } from '../support/database.ts';

let database: TestDatabase;
let outbox: OutboxPort;
beforeAll(async () => {
  database = await testDatabase();
  outbox = createPostgresOutbox(database.db);
});
afterAll(() => database.end());

const accepted: Note = { type: 'accepted', detail: '250 queued', reference: 'ref-1' };
const stale = '00000000-0000-4000-8000-000000000000';

async function claimed(port: OutboxPort) {
  const { id } = await port.enqueue({ kind: 'email', name: 'email', queue: 'email', payload: {} });
  const [claim] = await port.claimBatch({ limit: 1, leaseMs: 60_000, workerId: 'w', ids: [id] });
  return { id, claimToken: claim!.claimToken };
}

async function deliver(notes: readonly Note[]): Promise<string> {
  const claim = await claimed(outbox);
  await outbox.settle([{ ...claim, to: 'delivered', then: [], notes }]);
  return claim.id;
}

const notesOf = async (id: string): Promise<Note[]> =>
  (await showMessage(database.db, id)).notes.map(({ at, ...note }) => {
    expect(at).toBeInstanceOf(Date);
    return note as Note;
  });

describe('notes of a delivery', () => {
  it('are written with the settlement, in their order', async () => {
    const id = await deliver([accepted, { type: 'refused', recipient: 'a@b.test', detail: '550 no' }]);
    expect(await notesOf(id)).toEqual([
      { type: 'accepted', recipient: null, detail: '250 queued', reference: 'ref-1' },
      { type: 'refused', recipient: 'a@b.test', detail: '550 no', reference: null },
    ]);
  });

  it('C: a stale token writes none', async () => {
    const { id } = await claimed(outbox);
    await outbox.settle([{ id, claimToken: stale, to: 'delivered', then: [], notes: [accepted] }]);
    expect(await notesOf(id)).toEqual([]);
  });

  it('what JSON in Postgres cannot hold is replaced, not refused', async () => {
    const id = await deliver([{ type: 'accepted', detail: 'a\0b\ud800', reference: 'r'.repeat(300) }]);
    expect(await notesOf(id)).toEqual([
      { type: 'accepted', recipient: null, detail: 'a\u2400b\ufffd', reference: `${'r'.repeat(199)}…` },
    ]);
  });

  it('go with their message', async () => {
    const id = await deliver([accepted]);
    await database.db.executeSql('delete from waybill.outbox_messages where id = $1', [id]);
    const { rows } = await database.db.executeSql(
      'select 1 from waybill.outbox_notes where message_id = $1',
      [id],
    );
    expect(rows).toEqual([]);
  });

  it('are kept by the outbox in memory too', async () => {
    const memory = createMemoryOutbox();
    const claim = await claimed(memory);
    await memory.settle([{ ...claim, to: 'delivered', then: [], notes: [accepted] }]);
    expect(memory.messages[0]?.notes).toEqual([accepted]);
  });
});

describe('reports that come later', () => {
  const bounce = (over: Partial<Report>): Report => ({
    type: 'bounced',
    recipient: 'a@b.test',
    detail: 'mailbox unknown',
    reference: `reference-${Math.random()}`,
    messageId: null,
    source: `event-${Math.random()}`,
    ...over,
  });

  it('find their message by the reference of its delivery', async () => {
    const id = await deliver([{ ...accepted, reference: 'ref-2' }]);
    expect(await noteReport(database.db, bounce({ reference: 'ref-2' }))).toBe(true);
    expect((await notesOf(id)).map(({ type }) => type)).toEqual(['accepted', 'bounced']);
  });

  it('find it by its id before its delivery is settled', async () => {
    const { id } = await claimed(outbox);
    expect(await noteReport(database.db, bounce({ messageId: id }))).toBe(true);
    expect((await notesOf(id)).map(({ type }) => type)).toEqual(['bounced']);
  });

  it('are noted once, however often they are told', async () => {
    const id = await deliver([{ ...accepted, reference: 'ref-3' }]);
    const report = bounce({ reference: 'ref-3' });
    expect(await noteReport(database.db, report)).toBe(true);
    expect(await noteReport(database.db, report)).toBe(false);
    expect(await notesOf(id)).toHaveLength(2);
  });

  it('of messages that are not ours are no error', async () => {
    expect(await noteReport(database.db, bounce({ messageId: stale }))).toBe(false);
  });
});
