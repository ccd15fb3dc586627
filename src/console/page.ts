// What a page of the console is: where it is, what it reads, and what it shows. src/http/console.ts serves every page of the list in pages.ts.

import type { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import type { Role } from '../config/admin-keys.ts';
import type { Executor } from '../db/executor.ts';
import type { Host } from '../process/host.ts';
import type { Kept } from './kept.ts';
import type { Markup } from './markup.ts';
import type { Session } from './session.ts';

export const places = [
  ['now', 'Now', '/console', 'n'],
  ['messages', 'Messages', '/console/messages', 'm'],
  ['failures', 'Failures', '/console/failures', 'f'],
  ['bulk', 'Bulk acts', '/console/bulk', 'b'],
  ['running', 'Running', '/console/running', 'r'],
  ['queues', 'Queues', '/console/queues', 'q'],
  ['cron', 'Cron', '/console/cron', 'c'],
  ['suppressions', 'Suppressions', '/console/suppressions', 's'],
  ['fleet', 'Fleet', '/console/fleet', 'p'],
  ['audit', 'Audit', '/console/audit', 'a'],
] as const;
export type PlaceName = (typeof places)[number][0];

/** The options of curl, and the path under /admin. */
export type HttpCommand = { readonly options: string; readonly path: string };

/** The same by the command line and by HTTP; null: there is no such request. */
export type Command = { readonly cli: string; readonly http: HttpCommand | null };

export type View = {
  readonly title: string;
  readonly content: Markup;
  readonly commands: readonly Command[];
  /** What stands in the search field. */
  readonly search?: string;
  /** False: the page stays as it is. Default: it is read again every few seconds. */
  readonly live?: boolean;
};

export type Look = {
  /** A transaction that only reads, with a time limit for each statement. */
  readonly db: Executor;
  readonly query: Readonly<Record<string, string | string[] | undefined>>;
  readonly params: Readonly<Record<string, string>>;
  readonly session: Session;
  readonly config: Host['config'];
  /** For figures that need not be read each time. */
  readonly kept: Kept;
};

export type Page = {
  readonly path: string;
  readonly place: PlaceName;
  /** Default: `read`. */
  readonly role?: Role;
  readonly look: (look: Look) => Promise<View>;
};

/** The parameters of a page's address. @throws WaybillError `invalid_arguments` with each unknown one */
export function parametersOf<Args extends z.ZodType>(args: Args, { query }: Look): Promise<z.output<Args>> {
  return parseArguments({ name: 'page', args }, { ...query });
}

/** A path with those parameters that have a value. */
export function address(path: string, parameters: Readonly<Record<string, string | undefined>> = {}): string {
  const given = Object.entries(parameters).filter(
    (entry): entry is [string, string] => entry[1] !== undefined && entry[1] !== '',
  );
  const query = new URLSearchParams(given).toString();
  return query === '' ? path : `${path}?${query}`;
}
