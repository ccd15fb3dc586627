// `waybill outbox find ADDRESS` and `waybill outbox erase ID|ADDRESS`: what holds a person's address, and the erasure of one message or of all of it.

import type { Command } from 'commander';
import * as acts from '../../acts/messages.ts';
import { databaseToName } from '../../config/databases.ts';
import { erasePerson, findPerson } from '../../acts/person.ts';
import { leftOf, sumOfPlaces, type PersonPage } from '../../operate/person.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';
import { exitCodes, UsageError } from '../exit.ts';
import { single } from '../options.ts';
import { print, say, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

type Given = Output & ActorOptions & { readonly cursor?: string };
type EraseOptions = Given & { readonly dryRun?: boolean; readonly yes?: boolean };

const cursorOption = ['--cursor <cursor>', 'of an address: go on where an interrupted command was'] as const;

export function addOutboxErase(outbox: Command): void {
  addActor(outbox.command('find'))
    .description('everything that holds an e-mail address, whatever table it is in')
    .argument('<address>', 'address of the form name@domain.tld')
    .option(...cursorOption, single)
    .action(find);
  addActor(outbox.command('erase'))
    .description('erase one message for good, or all that holds an address; messages that wait are cancelled')
    .argument('<id-or-address>', 'id of the message, or an e-mail address')
    .option('--dry-run', 'only say what would be erased')
    .option('--yes', 'really erase it')
    .option(...cursorOption, single)
    .action((what: string, options: EraseOptions) =>
      what.includes('@') ? eraseAddress(what, options) : eraseOne(what, options),
    );
}

async function find(address: string, options: Given): Promise<void> {
  await withDatabase(async ({ db, config }) => {
    const all = await walk(options, (cursor) => findPerson(db, actorOf(options), address, { cursor }));
    print(all, options, (found) => lines(found, databaseToName(config)));
  });
}

async function eraseAddress(address: string, options: EraseOptions): Promise<void> {
  const { dryRun = false } = options;
  checkConfirmed(options);
  const { page, database } = await withDatabase(async ({ db, config }) => ({
    page: await walk(options, (cursor) => erasePerson(db, actorOf(options), address, { cursor, dryRun })),
    database: databaseToName(config),
  }));
  const left = dryRun ? 0 : leftOf(page.places);
  print({ dryRun, ...page, left }, options, (all) => lines(all, database, dryRun ? undefined : 'ERASED'));
  if (left === 0) return;
  say(`${left} are left for now: NOTE says why. Repeat the command when the cause is over`);
  process.exitCode = exitCodes.failed;
}

/** Until everything was read. Each line of progress has the cursor with which another command can go on. */
async function walk(
  { cursor: first }: Given,
  next: (cursor: string | undefined) => Promise<PersonPage>,
): Promise<PersonPage> {
  let page = await next(first);
  let { places, read } = page;
  while (page.nextCursor !== null) {
    say(`${read.toLocaleString('en')} rows read; if this is interrupted: --cursor ${page.nextCursor}`);
    page = await next(page.nextCursor);
    places = sumOfPlaces([...places, ...page.places]);
    read += page.read;
  }
  return { ...page, places, read };
}

function lines({ places, person, read }: PersonPage, database: string | null, erased?: 'ERASED'): string[] {
  const where = database === null ? '' : ` in the database ${database}`;
  if (places.length === 0)
    return [`nothing holds this address${where} (${read.toLocaleString('en')} rows read)`];
  const rows = places.map((one) => {
    const ids = erased && one.left.length > 0 ? one.left : one.ids;
    const more = ids.length > 2 ? ' …' : '';
    return [
      one.place,
      `${one.found}${one.atLeast ? '+' : ''}`,
      ...(erased ? [String(one.erased)] : []),
      `${ids.slice(0, 2).join(' ')}${more}` || '–',
      one.note,
    ];
  });
  return [
    ...table(['PLACE', 'FOUND', ...(erased ? [erased] : []), 'IDS', 'NOTE'], rows),
    `in the audit and in what is left of keys, ${person} stands for the address`,
  ];
}

async function eraseOne(id: string, options: EraseOptions): Promise<void> {
  const { dryRun = false } = options;
  checkConfirmed(options);
  const done = await withDatabase(({ db }) => acts.erase(db, actorOf(options), id, dryRun));
  print(done, options, ({ status, cancelled, attempts, notes, inbox }) => [
    `${id} (${status}${cancelled ? ', will not be delivered any more' : ''}): the payload, the texts of ${attempts} attempts and of ${notes} notes${inbox ? ', its mail in the inbox' : ''}${dryRun ? ' would be erased' : ' are erased'}`,
  ]);
}

/** @throws UsageError `confirmation_required` */
function checkConfirmed({ dryRun = false, yes = false }: EraseOptions): void {
  if (!dryRun && !yes)
    throw new UsageError(
      'confirmation_required',
      'what is erased is gone for good: look with --dry-run, then confirm with --yes',
    );
}
