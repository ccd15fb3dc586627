// `waybill suppressions list|add|remove`: the addresses that get no more mail.

import type { Command } from 'commander';
import { textOfMoment } from '../../db/moment.ts';
import { listSuppressions } from '../../email/suppression.ts';
import { suppressAddress, unsuppressAddress } from '../../acts/suppressions.ts';
import { WaybillError } from '../../errors.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';
import { UsageError } from '../exit.ts';
import { single } from '../options.ts';
import { print, say, short, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

type ListOptions = Output & { readonly contains?: string; readonly limit?: string; readonly cursor?: string };

export function addSuppressions(program: Command): void {
  const suppressions = program
    .command('suppressions')
    .description('see and change the list of addresses that no mail goes to any more');
  suppressions
    .command('list')
    .description('the addresses, why and since when')
    .option('--contains <text>', 'only addresses that contain this', single)
    .option('--limit <count>', 'addresses at most, 1 to 500 (default: 100)', single)
    .option('--cursor <cursor>', 'where the page before ended', single)
    .action(list);
  addActor(suppressions.command('add'), 'why (default: added by an operator)')
    .description('no mail goes to this address any more')
    .argument('<address>', 'address of the form name@domain.tld')
    .action(async (address: string, options: Output & ActorOptions) => {
      const { reason = 'added by an operator' } = options;
      const added = await withDatabase(({ db }) => suppressAddress(db, actorOf(options), address, reason));
      print({ address, added }, options, () => [
        added ? `${address} is on the list` : `${address} was on it already`,
      ]);
    });
  addActor(suppressions.command('remove'))
    .description('mail may go to this address again')
    .argument('<address>', 'address of the form name@domain.tld')
    .action(async (address: string, options: Output & ActorOptions) => {
      const removed = await withDatabase(({ db }) => unsuppressAddress(db, actorOf(options), address));
      if (!removed) throw new WaybillError('not_found', `${address} is not on the suppression list`);
      print({ address, removed }, options, () => [`mail may go to ${address} again`]);
    });
}

async function list(options: ListOptions): Promise<void> {
  const limit = Number(options.limit ?? '100');
  if (!Number.isInteger(limit) || limit < 1 || limit > 500)
    throw new UsageError('invalid_limit', '--limit must be a whole number from 1 to 500');
  const { contains, cursor } = options;
  const page = await withDatabase(({ db }) => listSuppressions(db, { limit, cursor, contains }));
  print(page, options, ({ suppressions }) =>
    suppressions.length === 0
      ? ['no address']
      : table(
          ['ADDRESS', 'SINCE', 'REASON'],
          suppressions.map(({ address, since, reason }) => [address, textOfMoment(since), short(reason)]),
        ),
  );
  if (page.nextCursor !== null && !options.json) say(`there are more: --cursor ${page.nextCursor}`);
}
