// Handovers, where several providers are configured: which of them may have an email. That is written before each handover, so it is known after a
// lost answer and after the death of the worker. No other provider sends the email then: none knows the key of another (invariant D).

import type { Executor } from '../db/executor.ts';
import { inTurns } from '../db/turn.ts';

export type Begun = {
  /** The provider that may have the email from an earlier attempt; null: none. */
  readonly holder: string | null;
  /** When this handover began, as the database wrote it. Null: it did not, because another provider may have the email. */
  readonly begunAt: string | null;
};

type Asked = { readonly message: string; readonly provider: string; readonly attempt: number };

export type Handovers = {
  /** @param asked `attempt`: of the message, 1 for the first */
  begin(asked: Asked): Promise<Begun>;
  /** The provider has it not, for certain. @returns false: another attempt of this email, or of its batch, may still be under way */
  free(message: string, provider: string, begunAt: string): Promise<boolean>;
  /** It waits for its provider. */
  wait(message: string, provider: string): Promise<void>;
};

/** How long processes may run on with one provider, as before a list was configured. */
const overlap = `interval '1 hour'`;

/**
 * Attempts from before the list whose end is unknown. The later ones recorded their handovers, so without one the email reached no provider. A list
 * that no worker registered is as old as the attempt.
 */
const legacy = `
    select from waybill.outbox_attempts t
     where t.message_id = a.id and t.outcome in ('ambiguous', 'expired', 'ended')
       and t.started_at < coalesce((select min(listed_at) + ${overlap} from waybill.email_providers), 'infinity')`;

/**
 * Values: messages, the provider and the attempt of each, all providers in their order. An attempt from before the list counts as one by the provider
 * of the email's plan, or by the first. An earlier provider that is no longer in the list does not count: a person took it off.
 */
export const beginHandoverSql = `
  with was as (
    select a.id, a.provider, case
             when h.message_id is not null then h.provider
             when a.attempt > 1 and exists (${legacy})
             then coalesce(b.provider, ($4::text[])[1]) end as holder
      from unnest($1::uuid[], $2::text[], $3::int[]) as a(id, provider, attempt)
      left join waybill.email_handovers h on h.message_id = a.id
      left join waybill.email_batches b on b.message_id = a.id and b.batch is not null),
  begun as (
    insert into waybill.email_handovers as h (message_id, provider)
    select id, provider from was where coalesce(holder = provider or holder <> all($4::text[]), true) order by id
    on conflict (message_id) do update set provider = excluded.provider, begun_at = excluded.begun_at, waits_since = null
     where coalesce(h.provider = excluded.provider or h.provider <> all($4::text[]), true)
    returning message_id, begun_at)
  select was.id, was.holder, begun.begun_at::text as "begunAt" from was left join begun on begun.message_id = was.id`;

/** Values: message, provider, when the handover began. A batch that holds the email may be requested again for others of it. */
export const freeHandoverSql = `
  update waybill.email_handovers h set provider = null
   where message_id = $1::uuid and provider = $2 and begun_at = $3::text::timestamptz
     and not exists (select from waybill.email_batches b where b.message_id = h.message_id and b.batch <> b.message_id)
  returning message_id`;

/** Values: message, provider. */
export const waitForProviderSql = `
  insert into waybill.email_handovers as h (message_id, provider, waits_since) values ($1::uuid, $2, now())
  on conflict (message_id) do update set waits_since = coalesce(h.waits_since, excluded.waits_since) where h.provider = excluded.provider`;

/** Values: messages, the provider of each. */
export const unsureHandoverSql = `
  insert into waybill.email_handovers as h (message_id, provider)
  select id, provider from unnest($1::uuid[], $2::text[]) as a(id, provider) order by id
  on conflict (message_id) do update set provider = excluded.provider, begun_at = excluded.begun_at, waits_since = null`;

/** Records that this provider may have the email, because its answer is lost. */
export type Unsure = (message: string, provider: string) => Promise<void>;

/** Where one provider is configured, nothing is written before a handover. */
export function createUnsure(db: Executor): Unsure {
  const record = inTurns(async (lost: readonly Omit<Asked, 'attempt'>[]) => {
    const values = [lost.map(({ message }) => message), lost.map(({ provider }) => provider)];
    await db.executeSql(unsureHandoverSql, values);
    return lost.map(() => undefined);
  });
  return (message, provider) => record({ message, provider });
}

/** @param names the providers in their order */
export function createHandovers(db: Executor, names: readonly string[]): Handovers {
  return {
    begin: inTurns(async (asked: readonly Asked[]) => {
      const values = [
        asked.map(({ message }) => message),
        asked.map(({ provider }) => provider),
        asked.map(({ attempt }) => attempt),
        names,
      ];
      const { rows } = await db.executeSql<Begun & { readonly id: string }>(beginHandoverSql, values);
      const found = new Map(rows.map(({ id, holder, begunAt }) => [id, { holder, begunAt }]));
      return asked.map(({ message }) => {
        const { holder, begunAt } = found.get(message)!;
        return { holder: holder !== null && names.includes(holder) ? holder : null, begunAt };
      });
    }),
    async free(message, provider, begunAt) {
      return (await db.executeSql(freeHandoverSql, [message, provider, begunAt])).rows.length > 0;
    },
    async wait(message, provider) {
      await db.executeSql(waitForProviderSql, [message, provider]);
    },
  };
}
