// `waybill bulk start|list|show|pause|resume|stop`: acts on all messages that a filter matches, which the relay works off.

import type { Command } from 'commander';
import * as acts from '../../acts/bulk.ts';
import type { Database } from '../../db/pool.ts';
import { listBulk, parseBulkFilter, showBulk, bulkStates, type BulkView } from '../../operate/bulk.ts';
import { bulkActions } from '../../operate/bulk-task.ts';
import { pause as sleep } from '../../timer.ts';
import { actorOf, addActor, type ActorOptions } from '../actor.ts';
import { bulkLines, bulkTable, previewLines, progressLine } from '../bulk-lines.ts';
import { exitCodes } from '../exit.ts';
import { addFilter, filterOf, type FilterOptions } from '../filter.ts';
import { collect, single, whole } from '../options.ts';
import { print, say, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

export type StartOptions = Output &
  ActorOptions &
  FilterOptions & {
    readonly all?: boolean;
    readonly due?: string;
    readonly rate?: string;
    readonly limit?: number;
    readonly expect?: number;
    readonly yes?: boolean;
    readonly dryRun?: boolean;
    readonly wait?: boolean;
  };

export function addBulk(program: Command): void {
  const bulk = program
    .command('bulk')
    .description('act on all messages that a filter matches; the relay does it');
  addStart(bulk);
  addLook(bulk);
  addMoves(bulk);
}

function addStart(bulk: Command): void {
  addFilter(addActor(bulk.command('start')))
    .description('start an act; it goes on without this command')
    .argument('<action>', bulkActions.join(', '))
    .option('--all', 'every message in a state that the action takes')
    .option('--due <time>', 'for hold and reschedule: a time, or a duration from now such as 2h', single)
    .option('--rate <rate>', 'at most so many messages, such as 50/s or 1000/m', single)
    .option('--limit <count>', 'end after so many changes', whole)
    .option('--expect <count>', 'the count of the preview; needed above 100 messages', whole)
    .option('--yes', 'instead of --expect: whatever the count is')
    .option('--dry-run', 'only the preview')
    .option('--wait', 'show the progress until it ends')
    .action((action: string, options: StartOptions) => startBulk(action, options));
}

function addLook(bulk: Command): void {
  bulk
    .command('list')
    .description('the acts, the newest first')
    .option('--state <state>', `${bulkStates.join(', ')}; may repeat`, collect)
    .option('--limit <count>', 'acts at most, 1 to 500 (default: 50)', single)
    .option('--cursor <cursor>', 'where the page before ended', single)
    .action(async (options: Output & Parameters<typeof parseBulkFilter>[0]) => {
      const filter = parseBulkFilter(options);
      const page = await withDatabase(({ db }) => listBulk(db, filter));
      print(page, options, () => bulkTable(page.bulkActs));
      if (page.nextCursor !== null && !options.json) say(`there are more: --cursor ${page.nextCursor}`);
    });
  bulk
    .command('show')
    .description('one act: how far it is, what it changed, and what it skipped and why')
    .argument('<id>', 'id of the act')
    .option('--wait', 'show the progress until it ends')
    .action(async (id: string, options: Output & { readonly wait?: boolean }) => {
      const act = await withDatabase(({ db }) => (options.wait ? waitFor(db, id) : showBulk(db, id)));
      print(act, options, bulkLines);
    });
}

function addMoves(bulk: Command): void {
  for (const [move, what] of [
    ['pause', 'it changes nothing more until it is resumed'],
    ['resume', 'it goes on where it was; also an act that failed'],
    ['stop', 'it ends; what was changed stays changed'],
  ] as const)
    addActor(bulk.command(move))
      .description(what)
      .argument('<id>', 'id of the act')
      .action(async (id: string, options: Output & ActorOptions) => {
        const act = await withDatabase(({ db }) => acts.move(db, actorOf(options), id, move));
        print(act, options, bulkLines);
      });
}

/** Starts an act, or shows its preview. */
export async function startBulk(action: string, options: StartOptions): Promise<void> {
  const given: acts.BulkGiven = {
    action,
    filter: filterOf(options),
    all: options.all,
    due: options.due,
    rate: options.rate,
    limit: options.limit,
    expect: options.expect ?? (options.yes ? 'any' : undefined),
  };
  await withDatabase(async ({ db }) => {
    if (options.dryRun) return print(await acts.preview(db, given), options, previewLines);
    const act = await acts.start(db, actorOf(options), given);
    print(options.wait ? await waitFor(db, act.id) : act, options, bulkLines);
  });
}

const pollMs = 500;

/** Until it ends, or nobody works on it. Any end but `done` makes the exit code 1. */
async function waitFor(db: Database, id: string): Promise<BulkView> {
  for (let before = ''; ; await sleep(pollMs)) {
    const act = await showBulk(db, id);
    const progress = progressLine(act);
    if (progress !== before) say(progress);
    before = progress;
    if (act.state === 'running' && act.relays > 0) continue;
    if (act.state !== 'done') process.exitCode = exitCodes.failed;
    return act;
  }
}
