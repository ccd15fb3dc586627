// What the act of a form gets, and where it leads.

import { z } from 'zod';
import { parseArguments } from '../action/arguments.ts';
import type { Role } from '../config/admin-keys.ts';
import type { Database } from '../db/pool.ts';
import type { Host } from '../process/host.ts';
import type { Actor } from '../operate/audit.ts';
import type { PlaceName, View } from './page.ts';
import type { Session } from './session.ts';

export type Doing = {
  readonly db: Database;
  readonly config: Host['config'];
  /** Who acts, for this reason. */
  readonly actor: Actor;
  readonly session: Session;
  readonly params: Readonly<Record<string, string>>;
  /** The fields of the form, without its token and its reason. */
  readonly form: Readonly<Record<string, string | string[]>>;
};

/** Where the person is led afterwards, and what is said there; or the page that answers the form, where an address must not hold what it shows. */
export type Done = { readonly to: string; readonly said: string } | { readonly view: View };

export type ConsoleAct = {
  readonly path: string;
  /** Default: `operate`. */
  readonly role?: Role;
  /** Of a view. */
  readonly place?: PlaceName;
  readonly run: (doing: Doing) => Promise<Done>;
};

/** A form without fields of its own. */
export const nothing = z.strictObject({});
/** @throws WaybillError `invalid_arguments` with each unknown field */
export const read = <A extends z.ZodType>(args: A, form: Doing['form']): Promise<z.output<A>> =>
  parseArguments({ name: 'form', args }, { ...form });
