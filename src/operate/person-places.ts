// The places beside messages in which an address may stand, with what becomes of it there. docs/personal-data.md has the same list for people.

import type { Finding } from './person-needle.ts';

export type Place = {
  readonly name: string;
  readonly table: string;
  /** The primary key with its types: rows are read in its order. */
  readonly key: Readonly<Record<string, string>>;
  /** What names a row to people, without a text that may hold an address; null: nothing does. */
  readonly id: string | null;
  /** Columns in which the address is replaced by its hash. */
  readonly texts?: readonly string[];
  /** The same in each element of an array. */
  readonly lists?: readonly string[];
  readonly jsons?: readonly string[];
  /** Columns whose whole text is replaced by a hash, with an expression that keeps the hashes of rows apart. */
  readonly keys?: Readonly<Record<string, string>>;
  /** Columns of bytes that are text for the most part. */
  readonly bytes?: readonly string[];
  readonly erase: 'replace' | 'delete' | 'keep';
  /** Only rows for which this holds are changed. */
  readonly unless?: string;
  /** Why a row may stay, and what to do. */
  readonly note: string;
  /** Instead of the change that follows from the columns. */
  readonly change?: (finding: Finding) => string;
};

/** A suppression goes on: the look-up at delivery takes the hash too (src/email/suppression.ts). One that was added again meanwhile is deleted. */
const suppressions = ({ addresses, replaced }: Finding): string => `
  doubled as (
    delete from waybill.email_suppressions t using found f
     where t.address = f.address and t.address = any(${addresses()})
       and exists (select from waybill.email_suppressions o where o.address = waybill.erased_address(t.address))
    returning true),
  hashed as (
    update waybill.email_suppressions t
       set address = case when t.address = any(${addresses()}) then waybill.erased_address(t.address) else t.address end,
           erased_at = case when t.address = any(${addresses()}) then now() else t.erased_at end, reason = ${replaced('t.reason')}
      from found f
     where t.address = f.address and not (t.address = any(${addresses()})
       and exists (select from waybill.email_suppressions o where o.address = waybill.erased_address(t.address)))
    returning true),
  changed as (select * from doubled union all select * from hashed)`;

export const places: readonly Place[] = [
  {
    name: 'suppressions',
    table: 'email_suppressions',
    key: { address: 'text' },
    id: null,
    texts: ['address', 'reason'],
    erase: 'replace',
    change: suppressions,
    note: 'it stays as a hash, and still holds mail back',
  },
  {
    name: 'attempts',
    table: 'outbox_attempts',
    key: { id: 'bigint' },
    id: 'message_id::text',
    texts: ['error', 'stack'],
    erase: 'replace',
    note: 'errors of attempts',
  },
  {
    name: 'notes',
    table: 'outbox_notes',
    key: { id: 'bigint' },
    id: 'message_id::text',
    texts: ['recipient', 'detail', 'reference', 'source'],
    erase: 'replace',
    note: 'answers and reports of the provider',
  },
  {
    name: 'batches',
    table: 'email_batches',
    key: { message_id: 'uuid' },
    id: 'message_id::text',
    lists: ['recipients'],
    jsons: ['answer'],
    erase: 'replace',
    note: 'batches of the provider',
  },
  {
    name: 'inbox',
    table: 'inbox_emails',
    key: { message_id: 'uuid' },
    id: 'message_id::text',
    texts: ['sender', 'subject', 'html', 'text'],
    lists: ['recipients'],
    bytes: ['source'],
    erase: 'delete',
    note: 'mails of the development inbox',
  },
  {
    name: 'keys',
    table: 'outbox_keys',
    key: { kind: 'text', name: 'text', delivery_key: 'text' },
    id: 'message_id::text',
    keys: { delivery_key: 'message_id::text' },
    erase: 'replace',
    unless: `t.pruned_at < 'infinity'`,
    note: 'delivery keys of pruned messages; one that a waiting message needs stays until that one has ended',
  },
  {
    name: 'idempotency',
    table: 'outbox_idempotency',
    key: { scope: 'text', key: 'text' },
    id: null,
    keys: { scope: 'created_at::text', key: 'created_at::text' },
    texts: ['answer'],
    erase: 'replace',
    note: 'idempotency keys and answers',
  },
  {
    name: 'cronRuns',
    table: 'cron_runs',
    key: { id: 'uuid' },
    id: 'id::text',
    texts: ['reason', 'error'],
    jsons: ['result'],
    erase: 'replace',
    note: 'results and errors of cron runs',
  },
  {
    name: 'cronJobs',
    table: 'cron_jobs',
    key: { name: 'text' },
    id: 'name',
    jsons: ['definition'],
    erase: 'keep',
    note: 'the application defines it: change its code, and release',
  },
  {
    name: 'cronManifests',
    table: 'cron_manifests',
    key: { hash: 'text' },
    id: 'hash',
    jsons: ['jobs'],
    erase: 'keep',
    note: 'the application defines it: old ones are pruned after a release',
  },
  {
    name: 'cronDisabled',
    table: 'cron_disabled',
    key: { name: 'text' },
    id: 'name',
    texts: ['by', 'reason'],
    erase: 'replace',
    note: 'reasons of disabled cron jobs',
  },
  {
    name: 'bulkActs',
    table: 'bulk_acts',
    key: { id: 'uuid' },
    id: 'id::text',
    texts: ['by', 'reason', 'last_error'],
    jsons: ['filter'],
    erase: 'replace',
    unless: `t.state in ('done', 'stopped')`,
    note: 'one that has not ended needs its filter: stop it, or wait for its end',
  },
  {
    name: 'queues',
    table: 'queues',
    key: { name: 'text' },
    id: 'name',
    texts: ['paused_by', 'paused_reason', 'parked_reason', 'held_reason', 'limited_by', 'limited_reason'],
    erase: 'replace',
    note: 'reasons of pauses and limits',
  },
  {
    name: 'groups',
    table: 'queue_groups',
    key: { queue: 'text', group_key: 'text' },
    id: 'queue',
    keys: { group_key: 'queue' },
    texts: ['paused_by', 'paused_reason', 'held_reason', 'parked_reason'],
    erase: 'delete',
    unless: 't.paused_at is null and t.parked_at is null',
    note: 'a paused or parked group keeps its name: resume it first',
  },
  {
    name: 'processes',
    table: 'processes',
    key: { id: 'text' },
    id: 'id',
    texts: ['quiet_by', 'quiet_reason'],
    erase: 'replace',
    note: 'reasons of quieted processes',
  },
  {
    name: 'failureMutes',
    table: 'failure_mutes',
    key: { key: 'text' },
    id: 'key',
    texts: ['by', 'reason'],
    erase: 'replace',
    note: 'reasons of muted failures',
  },
  {
    name: 'audit',
    table: 'audit',
    key: { id: 'bigint' },
    id: 'id::text',
    texts: ['by', 'target', 'reason'],
    jsons: ['filter', 'detail'],
    erase: 'keep',
    note: 'append-only: who acted, until WAYBILL_AUDIT_RETENTION; other addresses are masked in it',
  },
];
