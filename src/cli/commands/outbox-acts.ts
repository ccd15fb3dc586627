// `waybill outbox end|reschedule|run|copy`: acts on one message beside retry and cancel.

import { Option, type Command } from 'commander';
import * as acts from '../../acts/messages.ts';
import { copy } from '../../acts/copy.ts';
import { time } from '../../operate/time.ts';
import { endings, type Ending } from '../../operate/end.ts';
import { readDue } from '../../operate/reschedule.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';
import { UsageError } from '../exit.ts';
import { collect, single } from '../options.ts';
import { print, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';
import { messageLines } from './message-lines.ts';

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
  addActor(outbox.command('run'))
    .description('deliver a waiting message now, also when its queue or group is paused')
    .argument('<id>', 'id of the message')
    .action(async (id: string, options: Given) => {
      const message = await withDatabase(({ db }) => acts.run(db, actorOf(options), id));
      print(message, options, () => messageLines([message]));
    });
  addContentActs(outbox);
}

function addContentActs(outbox: Command): void {
  addActor(outbox.command('copy'))
    .description('record a new message like this one, with other recipients or another payload if wanted')
    .argument('<id>', 'id of the message')
    .option(
      '--to <address>',
      'of an email: the new recipients, instead of to, cc and bcc (may repeat)',
      collect,
    )
    .option('--subject <text>', 'of an email: the new subject', single)
    .option('--text <text>', 'of an email: the new text', single)
    .option(
      '--html <html>',
      'of an email: the new html; its text is made from it, unless --text is given',
      single,
    )
    .option('--payload <json>', 'the new payload', single)
    .option('--key <key>', 'the delivery key of the new message (default: none)', single)
    .option('--at <time>', 'due at this time, such as 2026-12-01T08:00Z (default: now)', single)
    .action(copyOne);
}

type CopyOptions = Given & {
  readonly to?: readonly string[];
  readonly subject?: string;
  readonly text?: string;
  readonly html?: string;
  readonly key?: string;
  readonly payload?: string;
  readonly at?: string;
};

async function copyOne(id: string, options: CopyOptions): Promise<void> {
  const { to, subject, text, html, key: deliveryKey, payload, at } = options;
  const changes = {
    ...(payload !== undefined && { payload: json(payload) }),
    to,
    subject,
    text,
    html,
    deliveryKey,
    availableAt: time('availableAt', at),
  };
  const message = await withDatabase(({ db, config: { maxPayloadBytes, payloadKeys } }) =>
    copy({ db, maxPayloadBytes, payloadKeys }, actorOf(options), id, changes),
  );
  print(message, options, () => messageLines([message]));
}

function json(text: string): unknown {
  try {
    return JSON.parse(text) as unknown;
  } catch (error) {
    throw new UsageError('invalid_payload', `--payload is no JSON: ${(error as Error).message}`);
  }
}
