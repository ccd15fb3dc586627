// What people do about one person's data: each act once for the console, HTTP and the command line. The audit has a hash instead of the address.

import type { Executor } from '../db/executor.ts';
import type { Database } from '../db/pool.ts';
import { recordAct, whoText, type Actor } from '../operate/audit.ts';
import { walkPerson, type OnPage, type PersonOptions, type PersonPage } from '../operate/person.ts';

/**
 * Reads on from the cursor what holds an address; until `nextCursor` is null, there is more. The audit records it once, with the first page.
 * @throws WaybillError as `walkPerson`
 */
export async function findPerson(
  db: Database,
  actor: Actor,
  recipient: string,
  options: PersonOptions = {},
): Promise<PersonPage> {
  const onPage: OnPage = async (tx, { person, isFirst }) => {
    if (isFirst) await recordAct(tx, actor, { act: 'person.find', target: person });
  };
  return walkPerson(db, recipient, options, null, onPage);
}

/**
 * Erases on from the cursor what holds an address; until `nextCursor` is null, there is more. The audit has the beginning of each call, in its first
 * transaction, and its end with the count.
 * @param options `dryRun`: as `findPerson`
 * @throws WaybillError as `walkPerson`
 */
export async function erasePerson(
  db: Database,
  actor: Actor,
  recipient: string,
  { dryRun = false, ...options }: PersonOptions & { readonly dryRun?: boolean } = {},
): Promise<PersonPage> {
  if (dryRun) return findPerson(db, actor, recipient, options);
  const record = (tx: Executor, target: string, count: number | undefined, detail: object): Promise<void> =>
    recordAct(tx, actor, { act: 'person.erase', target, detail, ...(count !== undefined && { count }) });
  let hasBegun = false;
  const onPage: OnPage = async (tx, { person }) => {
    if (!hasBegun) await record(tx, person, undefined, { state: 'begun' });
    hasBegun = true;
  };
  const page = await walkPerson(db, recipient, options, whoText(actor), onPage);
  const count = page.places.reduce((sum, { erased }) => sum + erased, 0);
  const places = Object.fromEntries(
    page.places.map(({ place, found, erased }) => [place, { found, erased }]),
  );
  await record(db, page.person, count, { state: page.nextCursor === null ? 'done' : 'to go on', places });
  return page;
}
