// Batch plans record, before the request, which emails go to the provider together and under which key.
// Later attempts of an email repeat its key, alone or in the batch, so a lost answer causes no duplicate (invariant D).

import type { Executor } from '../db/executor.ts';
import type { Receipt } from './provider.ts';

/** A null receipt: the provider refused the email. */
export type KeptAnswer = { readonly receipt: Receipt | null };

export type Plan = {
  /** The message's own id: it was sent alone. Null: free for another batch. */
  readonly batch: string | null;
  /** Whether the provider still knows the key. */
  readonly young: boolean;
  readonly answer: KeptAnswer | null;
  /** It is with another provider. */
  readonly isForeign: boolean;
};

export type PlannedEmail = {
  readonly messageId: string;
  readonly batch: string;
  readonly position: number;
  readonly size: number;
  readonly recipients: readonly string[];
};

export type Member = {
  readonly id: string;
  readonly payload: unknown;
  readonly createdAt: Date;
  readonly recipients: readonly string[];
};

export type BatchPlans = {
  /** The existing plans by message id. */
  find(messageIds: readonly string[]): Promise<ReadonlyMap<string, Plan>>;
  /** Rejects when one of the messages already has a plan. */
  write(emails: readonly PlannedEmail[]): Promise<void>;
  /** All emails of a batch in their order, to repeat the request. Undefined: some of them are gone. */
  again(batch: string): Promise<readonly Member[] | undefined>;
  /** For a batch of which the provider took nothing. Without `force`, a batch that was requested again stays. */
  free(batch: string, options: { readonly force: boolean }): Promise<void>;
  /** Stores the provider's answers. A stored answer is not replaced. */
  keep(batch: string, answers: ReadonlyMap<string, KeptAnswer>): Promise<void>;
};

/** Values: ids, provider. Resend keeps keys for 24 hours; one hour is left for the request itself. */
export const findPlansSql = `
  select message_id as "messageId", batch, planned_at > now() - interval '23 hours' as young, answer, batch is not null and provider <> $2 as "isForeign"
    from waybill.email_batches where message_id = any($1::uuid[])`;

/** Values: rows as JSON, provider. Ordered, so that two such statements do not deadlock. */
export const writePlansSql = `
  insert into waybill.email_batches as p (message_id, provider, batch, position, size, recipients)
  select message_id, $2, batch, position, size, recipients
    from jsonb_to_recordset($1::jsonb) as r(message_id uuid, batch uuid, position int, size int, recipients text[])
   order by message_id
  on conflict (message_id) do update
     set provider = excluded.provider, batch = excluded.batch, position = excluded.position, size = excluded.size,
         recipients = excluded.recipients, asked_again = false, planned_at = now()
   where p.batch is null
  returning message_id`;

/** Values: batch. One statement marks and reads, so a batch that was freed before returns no rows. */
export const planAgainSql = `
  with marked as (
    update waybill.email_batches set asked_again = true where batch = $1 and position = 0 returning batch)
  select m.id, m.payload, m.created_at as "createdAt", p.recipients, p.size
    from marked join waybill.email_batches p on p.batch = marked.batch join waybill.outbox_messages m on m.id = p.message_id
   order by p.position`;

/** Values: batch, force. The row at position 0 decides for the whole batch. */
export const freePlanSql = `
  with first as (
    update waybill.email_batches set batch = null
     where batch = $1 and position = 0 and ($2::boolean or not asked_again) returning message_id)
  update waybill.email_batches p set batch = null from first where p.batch = $1 and p.position > 0`;

/** Values: batch, rows as JSON. */
export const keepAnswersSql = `
  update waybill.email_batches p set answer = r.answer
    from jsonb_to_recordset($2::jsonb) as r(message_id uuid, answer jsonb)
   where p.message_id = r.message_id and p.batch = $1 and p.answer is null`;

/** @param provider whose batches these are */
export function createBatchPlans(db: Executor, provider: string): BatchPlans {
  return {
    async find(messageIds) {
      const { rows } = await db.executeSql<Plan & { messageId: string }>(findPlansSql, [
        messageIds,
        provider,
      ]);
      return new Map(rows.map(({ messageId, ...plan }) => [messageId, plan]));
    },
    async write(emails) {
      const rows = emails.map(({ messageId, ...rest }) => ({ message_id: messageId, ...rest }));
      const written = await db.executeSql(writePlansSql, [JSON.stringify(rows), provider]);
      if (written.rows.length < rows.length)
        throw new Error('another worker has planned some of these emails');
    },
    async again(batch) {
      const { rows } = await db.executeSql<Member & { size: number }>(planAgainSql, [batch]);
      return rows.length > 0 && rows.length === rows[0]?.size ? rows : undefined;
    },
    async free(batch, { force }) {
      await db.executeSql(freePlanSql, [batch, force]);
    },
    async keep(batch, answers) {
      const rows = [...answers].map(([id, answer]) => ({ message_id: id, answer }));
      await db.executeSql(keepAnswersSql, [batch, JSON.stringify(rows)]);
    },
  };
}
