// `waybill queues blocked|unblock`: the order keys of a queue that a dead message blocks.

import type { Command } from 'commander';
import { textOfMoment } from '../../db/moment.ts';
import { unblock } from '../../acts/queues.ts';
import { listBlockedKeys, type BlockedKey } from '../../operate/order.ts';
import { single } from '../options.ts';
import { print, say, short, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';

export function addOrder(queues: Command): void {
  queues
    .command('blocked')
    .description('order keys whose messages wait, because one of them is dead; the oldest first')
    .argument('<name>', 'name of the queue')
    .option('--limit <count>', 'keys at most, 1 to 500 (default: 50)', single)
    .option('--cursor <cursor>', 'where the page before ended', single)
    .action(async (name: string, options: Output & { readonly limit?: string; readonly cursor?: string }) => {
      const { limit, cursor } = options;
      const page = await withDatabase(({ db }) => listBlockedKeys(db, name, { limit, cursor }));
      print(page, options, ({ blocked }) => blockedLines(blocked));
      if (page.nextCursor !== null && !options.json) say(`there are more: --cursor ${page.nextCursor}`);
    });
  addActor(queues.command('unblock'), 'noted in the timeline of the dead message, and in the audit')
    .description('an order key goes on without the dead message that blocks it')
    .argument('<name>', 'name of the queue')
    .argument('<key>', 'the order key')
    .action(async (name: string, orderKey: string, options: Output & ActorOptions) => {
      const key = { queue: name, orderKey };
      const unblocked = await withDatabase(({ db }) => unblock(db, actorOf(options), key));
      print(unblocked, options, ({ messageIds }) => [
        `unblocked; it goes on without ${messageIds.join(', ')}`,
      ]);
    });
}

function blockedLines(blocked: readonly BlockedKey[]): string[] {
  if (blocked.length === 0) return ['no order key is blocked'];
  return table(
    ['ORDER KEY', 'MESSAGE', 'NAME', 'DEAD SINCE', 'WAITING', 'ERROR'],
    blocked.map((one) => [
      one.orderKey,
      one.messageId,
      one.name,
      textOfMoment(one.deadAt),
      String(one.waiting),
      short(one.error),
    ]),
  );
}
