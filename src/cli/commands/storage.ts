// `waybill storage`: what the tables take on disk, what holds back vacuum, and the server's connections.

import type { Command } from 'commander';
import { textOfMoment } from '../../db/moment.ts';
import { durationText } from '../../duration.ts';
import { readStorage, type Holder, type Storage } from '../../operate/storage.ts';
import { print, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

export function addStorage(program: Command): void {
  program
    .command('storage')
    .description(
      'size, dead rows, last vacuum and last prune of each table, and what holds back vacuum; connections',
    )
    .action(async (options: Output) =>
      print(await withDatabase(({ db }) => readStorage(db)), options, storageLines),
    );
}

/** Tables that people see one by one; the JSON has all of them. */
const shownTables = 10;

function storageLines({ bytes, tables, oldestHolder, connections }: Storage): string[] {
  const [largest, rest] = [tables.slice(0, shownTables), tables.slice(shownTables)];
  return [
    ...table(
      ['TABLE', 'SIZE', 'INDEXES', 'ROWS', 'DEAD', 'AUTOVACUUM', 'PRUNED'],
      largest.map((one) => [
        one.name,
        sizeText(one.bytes),
        sizeText(one.indexBytes),
        String(one.rows),
        String(one.deadRows),
        textOfMoment(one.lastAutovacuum),
        one.lastPrune === null ? '–' : `${textOfMoment(one.lastPrune.at)}, ${one.lastPrune.rows} rows`,
      ]),
    ),
    ...(rest.length > 0
      ? [`and ${rest.length} smaller tables with ${sizeText(rest.reduce((sum, one) => sum + one.bytes, 0))}`]
      : []),
    `${sizeText(bytes)} together`,
    oldestHolder === null ? 'nothing holds back vacuum' : holderLine(oldestHolder),
    `${connections.used} of ${connections.most} connections are used: ${connections.by.map(({ application, connections: n }) => `${n} by ${application || 'others'}`).join(', ')}`,
  ];
}

function holderLine({ type, name, pid, state, seconds, transactions }: Holder): string {
  const who = [pid === null ? '' : ` of pid ${pid}`, state === null ? '' : `, ${state}`].join('');
  const since = seconds === null ? '' : ` for ${durationText(seconds)}`;
  return `vacuum is held back by the ${type} ${JSON.stringify(name)}${who}${since}; ${transactions} transactions have begun since`;
}

const units = ['B', 'KB', 'MB', 'GB', 'TB'];

function sizeText(bytes: number): string {
  const power = Math.min(units.length - 1, bytes < 1 ? 0 : Math.floor(Math.log(bytes) / Math.log(1_024)));
  return `${(bytes / 1_024 ** power).toFixed(power === 0 ? 0 : 1)} ${units[power]}`;
}
