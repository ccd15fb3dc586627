// The suppression list holds addresses that get no more mail. It is read at delivery; suppression is an outcome, not an error.

import type { Executor } from '../db/executor.ts';
import { momentText, withMoments, type Moment } from '../db/moment.ts';
import { inTurns } from '../db/turn.ts';
import { cursorAfter, placeOfCursor } from '../operate/cursor.ts';
import { WaybillError } from '../errors.ts';
import type { Paging } from '../operate/filter.ts';
import { cleanError } from '../redaction/redact.ts';
import { parseAddress } from '../address/mailbox.ts';

export type Suppression = { readonly address: string; readonly reason: string; readonly since: Moment };

/** Returns the reason for each of the addresses that is on the list. */
export type Suppressed = (addresses: readonly string[]) => Promise<ReadonlyMap<string, string>>;

/** That of an erased person is a hash (src/operate/person.ts); without any such row no hash is computed. Addresses are compared in lower case. In practice no two mailboxes differ in case alone (RFC 5321, section 2.4). */
export const suppressedSql = `
  select s.address, s.reason from waybill.email_suppressions s where s.address = any($1::text[])
  union all
  select a.address, s.reason from unnest($1::text[]) as a(address)
    join waybill.email_suppressions s on s.address = waybill.erased_address(a.address)
   where exists (select from waybill.email_suppressions e where e.erased_at is not null)`;

export function createSuppressed(db: Executor): Suppressed {
  async function look(asked: readonly (readonly string[])[]): Promise<ReadonlyMap<string, string>[]> {
    const all = new Set(asked.flat().map((address) => address.toLowerCase()));
    const { rows } = await db.executeSql<{ address: string; reason: string }>(suppressedSql, [[...all]]);
    const found = new Map(rows.map(({ address, reason }) => [address, reason]));
    return asked.map((addresses) => {
      const listed = addresses.map((address) => [address, found.get(address.toLowerCase())] as const);
      return new Map(
        listed.flatMap(([address, reason]) => (reason === undefined ? [] : [[address, reason]])),
      );
    });
  }
  return inTurns(look);
}

export const suppressSql = `
  insert into waybill.email_suppressions (address, reason)
  select $1::text, $2::text where not exists (select from waybill.email_suppressions where address = waybill.erased_address($1::text))
  on conflict (address) do nothing returning address`;

/**
 * Adds an address. A listed address keeps its reason.
 * @returns whether the address is new
 * @throws WaybillError whose code says what is wrong with the address
 */
export async function suppress(db: Executor, address: string, reason: string): Promise<boolean> {
  const values = [bare(address), cleanError(reason, 500)];
  return (await db.executeSql(suppressSql, values)).rows.length === 1;
}

export const unsuppressSql = `delete from waybill.email_suppressions where address in ($1, waybill.erased_address($1)) returning address`;

/** As the list shows the address of an erased person. */
const isHash = (text: string): boolean => /^erased-[0-9a-f]{32}$/.test(text);

/**
 * Removes an address from the list; that of an erased person by its address or by its hash.
 * @returns whether the address was on the list
 * @throws WaybillError whose code says what is wrong with the address
 */
export async function unsuppress(db: Executor, address: string): Promise<boolean> {
  const wanted = isHash(address) ? address : bare(address);
  return (await db.executeSql(unsuppressSql, [wanted])).rows.length > 0;
}

export const suppressionsSql = `
  select address, left(reason, 10000) as reason, ${momentText('since')} as since from waybill.email_suppressions
   where ($1::text is null or address > $1) and ($2::text is null or position($2 in address) > 0)
   order by address limit $3`;

export type SuppressionPage = { readonly suppressions: Suppression[]; readonly nextCursor: string | null };

/**
 * Ordered by address.
 * @throws WaybillError `invalid_cursor`
 */
export async function listSuppressions(
  db: Executor,
  query: Paging & { readonly contains?: string | undefined } = {},
): Promise<SuppressionPage> {
  const { limit = 100, cursor } = query;
  const contains = query.contains?.toLowerCase() ?? null;
  const listed = { list: 'suppressions', filter: { contains } };
  const after = cursor === undefined ? null : placeOfCursor(cursor, listed);
  type Row = Record<'address' | 'reason' | 'since', string>;
  const { rows } = await db.executeSql<Row>(suppressionsSql, [after, contains, limit + 1]);
  const suppressions = rows
    .slice(0, limit)
    .map((row) => ({ ...withMoments(row, ['since']), reason: cleanError(row.reason, 500) }));
  const last = suppressions.at(-1);
  return { suppressions, nextCursor: rows.length > limit && last ? cursorAfter(last.address, listed) : null };
}

function bare(text: string): string {
  const parsed = parseAddress(text);
  if (!('address' in parsed)) throw new WaybillError(parsed.code, parsed.message);
  return parsed.address.toLowerCase();
}
