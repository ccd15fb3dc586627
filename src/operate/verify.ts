// Reconciles the audit counters with the rows: recorded = pending + sending + failed + delivered + dead + cancelled + pruned, for every kind.
// The counts come from one statement and so from one snapshot, which makes them correct under load. It also finds rows that only an edit by hand
// can have caused; the rules of a row cost 20 µs for each, so they are checked in pages.

import type { Executor } from '../db/executor.ts';
import { hiddenProblem, readStanding } from '../db/standing.ts';
import type { Status } from '../message/message.ts';

export type KindCounts = Readonly<Record<Status, number>> & {
  readonly kind: string;
  /** Recorded messages in the audit counters, plus rows that are not in them yet. */
  readonly recorded: number;
  readonly pruned: number;
  /** 0: they agree. Below 0: rows vanished. Above 0: rows were added without being counted. */
  readonly difference: number;
};

export type Finding = {
  readonly code: string;
  readonly message: string;
  readonly count: number;
  /** At most ten. */
  readonly ids: readonly string[];
};

export type Verification = {
  readonly ok: boolean;
  readonly kinds: readonly KindCounts[];
  readonly findings: readonly Finding[];
};

/** Conditions that no statement of the engine causes, with their messages. */
const oddities: readonly { code: string; when: string; message: string }[] = [
  {
    code: 'attempts_exhausted',
    when: `status in ('pending', 'failed') and attempts >= max_attempts`,
    message: 'wait although no attempt is left; the sweep sets them to dead when they are relayed',
  },
  {
    code: 'available_far_ahead',
    when: `status in ('pending', 'failed') and available_at > now() + interval '10 years' and not (order_due is not null and available_at = 'infinity')`,
    message: 'are due in more than ten years: set available_at, or cancel them',
  },
  {
    code: 'lease_far_ahead',
    when: `status = 'sending' and claimed_until > now() + interval '1 day'`,
    message: 'have a lease of more than a day, so nobody takes them over: set claimed_until to now()',
  },
  {
    code: 'unexplained_transition',
    // A message whose lease expired before its delivery began has failed, and got its attempt back.
    when: `(status = 'pending' and attempts > 0) or (status in ('sending', 'delivered') and attempts = 0)
        or (status = 'failed' and attempts = 0 and expirations = 0)`,
    message: 'have a number of attempts that does not go with their state: the row was edited by hand',
  },
];

const unfit = {
  code: 'row_unfit',
  message: 'break the rules of a message: they were written past the trigger of the table',
};

const oddity = `case ${oddities.map(({ code, when }) => `when ${when} then '${code}'`).join(' ')} end`;

export const verifySql = `
  with odd as (select id, kind, status, ends, ${oddity} as oddity from waybill.outbox_messages offset 0),
  rows_ as (
    select kind, status, oddity, count(*)::float8 as n, count(*) filter (where ends = 0)::float8 as unended, (array_agg(id order by id) filter (where oddity is not null))[1:10] as ids
      from odd group by kind, status, oddity),
  audit as (
    select kind, sum(recorded)::float8 as recorded, coalesce(sum(n) filter (where outcome like 'pruned %'), 0)::float8 as pruned
      from waybill.outbox_audit group by kind),
  kinds as (
    select kind, coalesce(max(b.recorded), 0) + coalesce(sum(unended), 0) as recorded, coalesce(max(b.pruned), 0) as pruned,
           ${['pending', 'sending', 'failed', 'delivered', 'dead', 'cancelled']
             .map((status) => `coalesce(sum(n) filter (where status = '${status}'), 0) as ${status}`)
             .join(', ')}
      from audit b full join rows_ r using (kind) group by kind)
  select coalesce((select jsonb_agg(k order by kind) from kinds k), '[]') as kinds,
         coalesce((select jsonb_agg(jsonb_build_object('code', oddity, 'n', n, 'ids', ids)) from rows_ where oddity is not null), '[]') as odd`;

type Row = {
  kinds: Omit<KindCounts, 'difference'>[];
  odd: { code: string; n: number; ids: string[] }[];
};

/** Values: the last id of the page before, the size of a page. */
export const unfitPageSql = `
  select (array_agg(id order by id desc))[1] as last, count(*)::int as read, coalesce(array_agg(id order by id) filter (where flaw is not null), '{}') as unfit
    from (select id, waybill.outbox_flaw(m) as flaw from waybill.outbox_messages m where id > $1 order by id limit $2) page`;

type Page = { last: string | null; read: number; unfit: string[] };

const pageSize = 20_000;

/** @param onRead gets the number of rows whose rules were checked so far, after each page but the last */
export async function verifyOutbox(db: Executor, onRead?: (rows: number) => void): Promise<Verification> {
  const { rows } = await db.executeSql<Row>(verifySql);
  const { kinds = [], odd = [] } = rows[0] ?? {};
  const booked = kinds.map((k) => {
    const there = k.pending + k.sending + k.failed + k.delivered + k.dead + k.cancelled;
    return { ...k, difference: there + k.pruned - k.recorded };
  });
  const findings = [
    ...(await hiddenFinding(db)),
    ...booked.flatMap(imbalance),
    ...oddities.flatMap((one) => found(one, odd)),
    ...(await unfitRows(db, onRead)),
  ];
  return { ok: findings.length === 0, kinds: booked, findings };
}

async function unfitRows(db: Executor, onRead?: (rows: number) => void): Promise<Finding[]> {
  let after = '00000000-0000-0000-0000-000000000000';
  let read = 0;
  let count = 0;
  const ids: string[] = [];
  for (;;) {
    const { rows } = await db.executeSql<Page>(unfitPageSql, [after, pageSize]);
    const page = rows[0]!;
    read += page.read;
    count += page.unfit.length;
    ids.push(...page.unfit.slice(0, 10 - ids.length));
    if (page.last === null || page.read < pageSize) break;
    after = page.last;
    onRead?.(read);
  }
  if (count === 0) return [];
  return [{ code: unfit.code, message: `${count} messages ${unfit.message}`, count, ids }];
}

/** Reports what the role cannot see, because it cannot be verified. */
async function hiddenFinding(db: Executor): Promise<Finding[]> {
  const standing = await readStanding(db);
  const message = hiddenProblem(standing);
  if (message === undefined) return [];
  return [{ code: 'rows_hidden', message, count: standing.hidden.length, ids: [] }];
}

function imbalance({ kind, recorded, difference }: KindCounts): Finding[] {
  if (difference === 0) return [];
  const message =
    difference < 0
      ? `${-difference} of ${recorded} recorded messages of the kind ${kind} are gone without having been pruned`
      : `${difference} messages of the kind ${kind} are there, or pruned, that were never counted as recorded`;
  return [
    {
      code: difference < 0 ? 'messages_missing' : 'messages_uncounted',
      message,
      count: Math.abs(difference),
      ids: [],
    },
  ];
}

function found({ code, message }: (typeof oddities)[number], odd: Row['odd']): Finding[] {
  const its = odd.filter((one) => one.code === code);
  const count = its.reduce((sum, one) => sum + one.n, 0);
  if (count === 0) return [];
  const ids = its.flatMap((one) => one.ids).slice(0, 10);
  return [{ code, message: `${count} messages ${message}`, count, ids }];
}
