// Email providers, where several are configured: which of them are parked, for the whole fleet (docs/failover.md). The row decides: of many workers
// that fail at once, one parks the provider; of all deliveries, one probes it.

import type { Executor } from '../db/executor.ts';
import { momentOf, momentText, textOfMoment, type Moment } from '../db/moment.ts';
import { inTurns } from '../db/turn.ts';
import type { Milliseconds } from '../ports.ts';
import { cleanError } from '../redaction/redact.ts';
import { after, firstProbe, kept, longerThan, relapse } from './park.ts';

/** A provider that is away is parked at this number of failures in a row, by any worker, if another one is open. */
export const failuresToPark = 3;

/** A look shows the providers as they are now, and entitles this delivery to probe those that are due for it. */
export type ProviderState = {
  readonly name: string;
  readonly isParked: boolean;
  readonly isProbe: boolean;
  readonly failures: number;
  readonly reason: string | null;
  /** For how long it has been parked. */
  readonly parkedMs: Milliseconds;
};

/**
 * Values: providers in their order, whether the queue itself is probed (then each parked provider is), ms until the probe counts as lost. A provider
 * without a row is open.
 */
export const lookSql = `
  with due as (
    update waybill.email_providers p set probe_at = ${after('$3')}
     where p.name = any($1::text[]) and p.parked_at is not null and (p.probe_at <= now() or $2)
    returning p.name)
  select l.name, p.parked_at is not null as "isParked", l.name = any(array(select name from due)) as "isProbe", coalesce(p.failures, 0) as failures,
         p.parked_reason as reason, coalesce(1000 * extract(epoch from now() - p.parked_at), 0)::float8 as "parkedMs"
    from unnest($1::text[]) with ordinality as l(name, place) left join waybill.email_providers p on p.name = l.name
   order by l.place`;

/** A failure of a handover to a provider. */
export type ProviderFailure = {
  readonly name: string;
  readonly reason: string;
  readonly worker: string;
  /** When the handover began, as the database wrote it. */
  readonly begunAt: string;
};

const isSince = 'coalesce(p.reopened_at <= $2::text::timestamptz, true)';

/** Counts a failure of an open provider. Values: provider, when the handover began. */
export const countFailureSql = `
  insert into waybill.email_providers as p (name, failures) values ($1, 1)
  on conflict (name) do update set failures = p.failures + 1 where p.parked_at is null and ${isSince}
  returning failures`;

const firstInterval = `greatest($6::float8, case when p.reopened_at > now() - ${relapse} then ${longerThan('p')} else ${firstProbe} end)`;

/**
 * Parks a provider. Values: provider, when the handover began, reason, worker, other providers that must not all be parked (null: that does not
 * matter), ms until the first probe at least. It returns a row if this call parked it.
 */
export const parkProviderSql = `
  insert into waybill.email_providers as p (name, parked_at, parked_by, parked_reason, probe_at, probe_ms)
  select $1, now(), $4, $3, ${after(`greatest($6::float8, ${firstProbe})`)}, ${firstProbe}
   where $5::text[] is null or exists (
     select from unnest($5::text[]) as o(name)
      where not exists (select from waybill.email_providers e where e.name = o.name and e.parked_at is not null))
  on conflict (name) do update
     set parked_at = excluded.parked_at, parked_by = excluded.parked_by, parked_reason = excluded.parked_reason, failures = 0, probes = 0,
         probe_ms = ${firstInterval}, probe_at = ${after(firstInterval)}
   where p.parked_at is null and ${isSince}
  returning name`;

/** Values: provider, reason. */
export const providerProbeFailedSql = `
  update waybill.email_providers p
     set probes = probes + 1, probe_ms = ${longerThan('p')}, probe_at = ${after(longerThan('p'))}, parked_reason = $2
   where name = $1 and parked_at is not null
  returning probe_ms as "nextMs"`;

/** Values: provider. */
export const reopenProviderSql = `
  update waybill.email_providers
     set parked_at = null, parked_by = null, parked_reason = null, reopened_at = clock_timestamp(), failures = 0
   where name = $1 and parked_at is not null returning name`;

/** The same for every parked provider, if a person resumes the queue of emails. @param queue an SQL expression */
export const reopenProvidersOf = (queue: string): string => `
    update waybill.email_providers
       set parked_at = null, parked_by = null, parked_reason = null, reopened_at = clock_timestamp(), failures = 0
     where ${queue} = 'email' and parked_at is not null`;

/** Values: provider. It answered, so its failures are no longer in a row. */
export const answeredSql = `update waybill.email_providers set failures = 0 where name = $1 and failures > 0 and parked_at is null`;

/** Values: the providers of this process in their order; none where one alone is configured. The others are forgotten, and no email waits for them. */
export const registerProvidersSql = `
  with gone as (delete from waybill.email_providers where name <> all($1::text[]))
  insert into waybill.email_providers as p (name, position, listed_at)
  select name, place, now() from unnest($1::text[]) with ordinality as l(name, place)
  on conflict (name) do update set position = excluded.position, listed_at = coalesce(p.listed_at, excluded.listed_at)
   where p.position is distinct from excluded.position`;

export async function registerProviders(db: Executor, names: readonly string[]): Promise<void> {
  await db.executeSql(registerProvidersSql, [names]);
}

export type ProviderView = {
  readonly name: string;
  readonly state: 'open' | 'parked';
  readonly reason: string | null;
  readonly since: Moment | null;
  /** The worker that met the failure. */
  readonly by: string | null;
  /** Of a parked one. */
  readonly probe: { readonly nextAt: Moment; readonly failed: number } | null;
  /** Emails that wait for it, because an earlier attempt may have arrived there. */
  readonly waiting: number;
};

export type ProviderRow = Readonly<Record<'name', string>> &
  Readonly<Record<'reason' | 'since' | 'by' | 'nextAt', string | null>> & {
    readonly failed: number;
    readonly waiting: number;
  };

/** Number of emails that wait for a provider, an SQL expression. @param p the provider's row, with a dot */
export const waitingFor = (p: string): string => `
  (select count(*)::int from waybill.email_handovers h join waybill.outbox_messages m on m.id = h.message_id
    where h.provider = ${p}name and h.waits_since is not null and m.status in ('pending', 'failed'))`;

/** All providers in their order, as JSON. */
export const providersJson = `
  (select coalesce(jsonb_agg(jsonb_build_object('name', p.name, 'reason', p.parked_reason, 'since', ${momentText('p.parked_at')}, 'by', p.parked_by,
            'nextAt', case when p.parked_at is not null then ${momentText('p.probe_at')} end, 'failed', p.probes,
            'waiting', ${waitingFor('p.')}) order by p.position, p.name), '[]') from waybill.email_providers p)`;

export function providerOf({ name, reason, since, by, nextAt, failed, waiting }: ProviderRow): ProviderView {
  return {
    name,
    state: since === null ? 'open' : 'parked',
    reason: reason === null ? null : cleanError(reason),
    since: momentOf(since),
    by,
    probe: nextAt === null ? null : { nextAt: momentOf(nextAt), failed },
    waiting,
  };
}

/** `the email provider resend is parked since … because …: mails go by smtp; 2 wait for resend, which may have them` */
export function providerLines(providers: readonly ProviderView[]): string[] {
  const open = providers.find(({ state }) => state === 'open')?.name;
  return providers
    .filter(({ state }) => state === 'parked')
    .map(({ name, since, reason, waiting }) => {
      const others = open === undefined ? 'no other is open' : `mails go by ${open}`;
      const its = waiting === 0 ? '' : `; ${waiting} wait for ${name}, which may have them already`;
      return `the email provider ${name} is parked since ${textOfMoment(since)} because ${reason}: ${others}${its}`;
    });
}

export const listProvidersSql = `select ${providersJson} as providers`;

/** The providers, where several are configured, in their order. */
export async function listProviders(db: Executor): Promise<ProviderView[]> {
  const { rows } = await db.executeSql<{ providers: ProviderRow[] }>(listProvidersSql);
  return rows[0]!.providers.map(providerOf);
}

/** What happens to providers, for the log. */
export type ProviderNews = {
  parked(provider: string, reason: string): void;
  probeFailed(provider: string, reason: string, nextMs: Milliseconds): void;
  reopened(provider: string): void;
};

export type ProviderParking = {
  /** @param isForced the queue itself is probed, so every parked provider is */
  look(isForced: boolean): Promise<readonly ProviderState[]>;
  /** It cannot be used until somebody mends something, or for the time that it names. @param atLeastMs until the first probe */
  park(failure: ProviderFailure, options?: { readonly atLeastMs?: Milliseconds }): Promise<void>;
  /** It could not be reached, did not answer, or failed itself. */
  failed(failure: ProviderFailure): Promise<void>;
  probeFailed(name: string, reason: string): Promise<void>;
  /** It took or refused an email, or its probe succeeded. */
  answered(state: ProviderState): Promise<void>;
};

/** @param probeMs how long a probe takes at most */
export function createProviderParking(
  db: Executor,
  names: readonly string[],
  { news, probeMs }: { readonly news: ProviderNews; readonly probeMs: Milliseconds },
): ProviderParking {
  const park = async (
    failure: ProviderFailure,
    { unlessLast = false, atLeastMs = 0 } = {},
  ): Promise<void> => {
    const { name, begunAt, worker } = failure;
    const reason = kept(failure.reason);
    const others = unlessLast ? names.filter((other) => other !== name) : null;
    const values = [name, begunAt, reason, worker, others, atLeastMs];
    if ((await db.executeSql(parkProviderSql, values)).rows.length > 0) news.parked(name, reason);
  };
  return {
    park,
    look: inTurns(async (asked: readonly boolean[]) => {
      const isForced = asked.includes(true);
      const { rows } = await db.executeSql<ProviderState>(lookSql, [names, isForced, probeMs]);
      const prober = isForced ? asked.indexOf(true) : 0; // one delivery probes
      return asked.map((_, i) => rows.map((row) => ({ ...row, isProbe: row.isProbe && i === prober })));
    }),
    async failed(failure) {
      const { rows } = await db.executeSql<{ failures: number }>(countFailureSql, [
        failure.name,
        failure.begunAt,
      ]);
      if ((rows[0]?.failures ?? 0) >= failuresToPark) await park(failure, { unlessLast: true });
    },
    async probeFailed(name, reason) {
      const { rows } = await db.executeSql<{ nextMs: Milliseconds }>(providerProbeFailedSql, [
        name,
        kept(reason),
      ]);
      if (rows[0]) news.probeFailed(name, reason, rows[0].nextMs);
    },
    async answered({ name, isProbe, failures }) {
      if (isProbe) {
        if ((await db.executeSql(reopenProviderSql, [name])).rows.length > 0) news.reopened(name);
      } else if (failures > 0) await db.executeSql(answeredSql, [name]);
    },
  };
}
