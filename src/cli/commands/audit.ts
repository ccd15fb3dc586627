// `waybill audit list`: what people did, newest first.

import type { Command } from 'commander';
import { listActs, parseAuditFilter, type ActView } from '../../operate/audit.ts';
import { textOfMoment } from '../../db/moment.ts';
import { collect, single } from '../options.ts';
import { print, say, short, table, type Output } from '../print.ts';
import { withDatabase } from '../session.ts';

type ListOptions = Output & Parameters<typeof parseAuditFilter>[0];

export function addAudit(program: Command): void {
  const audit = program.command('audit').description('see what people did to messages, queues and jobs');
  audit
    .command('list')
    .description('who did what, when and why; the newest first')
    .option('--act <act>', 'such as message.retry or queue.pause; may repeat', collect)
    .option('--by <name>', 'who did it', single)
    .option('--target <target>', 'id of a message, or name of a queue or cron job', single)
    .option(
      '--since <time>',
      'at this time or later, such as 2026-01-31T08:00Z; 1h: in the last hour',
      single,
    )
    .option('--until <time>', 'before this time', single)
    .option('--limit <count>', 'acts at most, 1 to 500 (default: 50)', single)
    .option('--cursor <cursor>', 'where the page before ended', single)
    .action(async (options: ListOptions) => {
      const filter = parseAuditFilter(options);
      const page = await withDatabase(({ db }) => listActs(db, filter));
      print(page, options, () => lines(page.acts));
      if (page.nextCursor !== null && !options.json) say(`there are more: --cursor ${page.nextCursor}`);
    });
}

function lines(acts: readonly ActView[]): string[] {
  if (acts.length === 0) return ['nobody has done anything that matches'];
  return table(
    ['AT', 'BY', 'VIA', 'ACT', 'TARGET', 'COUNT', 'REASON'],
    acts.map(({ at, by, via, act, target, count, reason, filter, detail }) => [
      textOfMoment(at),
      by,
      via,
      act,
      target ?? short(JSON.stringify(filter ?? detail ?? {})),
      count === null ? '–' : String(count),
      short(reason),
    ]),
  );
}
