// One page of a place: reads some rows in the order of their key, finds those with the address, and erases it there.

import { findingOf, type Finding, type Needle } from './person-needle.ts';
import type { Place } from './person-places.ts';

/** The row of `scanSql`. */
export type Scanned = {
  readonly read: number;
  readonly found: number;
  readonly erased: number;
  /** The key of the last row; null: the page is empty. */
  readonly last: readonly string[] | null;
  readonly ids: readonly string[];
};

/** At most so many ids stand for a place. */
export const samples = 10;

/**
 * @param after the key of the last row of the page before; null: from the first row on
 * @param rows to read at most
 */
export function scanSql(
  place: Place,
  needle: Needle,
  after: readonly string[] | null,
  { rows, erases }: { readonly rows: number; readonly erases: boolean },
): { readonly text: string; readonly values: unknown[] } {
  const finding = findingOf(needle);
  const names = Object.keys(place.key);
  const columns = names.map((name) => `t.${name}`).join(', ');
  const beyond = after?.map((value, i) => `$${finding.values.push(value)}::text::${place.key[names[i]!]}`);
  const where = beyond ? `where (${columns}) > (${beyond.join(', ')})` : '';
  const changes = erases && place.erase !== 'keep';
  const text = `
  with page as materialized (
    select ${columns}, ${place.id ? `t.${place.id}` : 'null::text'} as sample, coalesce(${hitOf(place, finding)}, false) as hit
      from waybill.${place.table} t ${where} order by ${columns} limit ${rows}),
  found as materialized (select * from page where hit)${changes ? `,${changeOf(place, finding)}` : ''}
  select (select count(*)::int from page) as read, (select count(*)::int from found) as found,
         ${changes ? '(select count(*)::int from changed)' : '0'} as erased,
         (select jsonb_build_array(${names.map((name) => `${name}::text`).join(', ')}) from page
           order by ${names.map((name) => `${name} desc`).join(', ')} limit 1) as last,
         array(select distinct sample from found where sample is not null limit ${samples}) as ids`;
  return { text, values: finding.values };
}

function hitOf(
  { texts = [], lists = [], jsons = [], bytes = [], keys = {} }: Place,
  finding: Finding,
): string {
  const all = [
    ...texts.map((name) => `t.${name}`),
    ...lists.map((name) => `array_to_string(t.${name}, E'\\n')`),
    ...jsons.map((name) => `t.${name}::text`),
    ...bytes.map((name) => `encode(t.${name}, 'escape')`),
  ];
  const inTexts = all.length > 0 ? [finding.inText(`concat_ws(E'\\n', ${all.join(', ')})`)] : [];
  return [...inTexts, ...Object.keys(keys).map((name) => finding.inKey(`t.${name}`))].join(' or ');
}

/** `changed`: a row for each row that was changed. */
function changeOf(place: Place, finding: Finding): string {
  if (place.change) return place.change(finding);
  const { texts = [], lists = [], jsons = [], keys = {}, table, unless = 'true' } = place;
  const which = `${Object.keys(place.key)
    .map((name) => `t.${name} = f.${name}`)
    .join(' and ')} and ${unless} returning true`;
  if (place.erase === 'delete')
    return `
  changed as (delete from waybill.${table} t using found f where ${which})`;
  const set = [
    ...texts.map((name) => `${name} = ${finding.replaced(`t.${name}`)}`),
    ...lists.map(
      (name) =>
        `${name} = array(select ${finding.replaced('e.one')} from unnest(t.${name}) with ordinality as e(one, place) order by e.place)`,
    ),
    ...jsons.map((name) => `${name} = ${finding.replaced(`t.${name}::text`)}::jsonb`),
    ...Object.entries(keys).map(
      ([name, salt]) =>
        `${name} = case when ${finding.inKey(`t.${name}`)} then waybill.erased_text(t.${salt} || ' ' || t.${name}) else t.${name} end`,
    ),
  ];
  return `
  changed as (update waybill.${table} t set ${set.join(', ')} from found f where ${which})`;
}
