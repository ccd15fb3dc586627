// `waybill outbox end|reschedule`: acts on one message beside retry and cancel.

import { Option, type Command } from 'commander';
import * as acts from '../../acts/messages.ts';
import { endings, type Ending } from '../../operate/end.ts';
import { readDue } from '../../operate/reschedule.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';
import { single } from '../options.ts';
import { print, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';
import { messageLines } from './outbox-read.ts';

type Given = Output & ActorOptions;

export function addOutboxActs(outbox: Command): void {
  addActor(outbox.command('end'))
    .description('take a message that is being delivered from its worker, and abort the delivery')
    .argument('<id>', 'id of the message')
    .addOption(
      new Option('--then <what>', 'what becomes of the message').choices(endings).makeOptionMandatory(),
    )
    .action(async (id: string, options: Given & { readonly then: Ending }) => {
      const message = await withDatabase(({ db }) => acts.end(db, actorOf(options), id, options.then));
      print(message, options, () => messageLines([message]));
    });
  addActor(outbox.command('reschedule'))
    .description('make a waiting message due at another time')
    .argument('<id>', 'id of the message')
    .option('--at <time>', 'due at this time, such as 2026-12-01T08:00Z', single)
    .option('--in <duration>', 'due after this time, such as 2h; 0s is now', single)
    .action(async (id: string, options: Given & { readonly at?: string; readonly in?: string }) => {
      const due = readDue({ availableAt: options.at, in: options.in });
      const message = await withDatabase(({ db }) => acts.reschedule(db, actorOf(options), id, due));
      print(message, options, () => messageLines([message]));
    });
}
