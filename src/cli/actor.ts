// Who acts on the command line: the user of the operating system, or the name after --as.

import { userInfo } from 'node:os';
import type { Command } from 'commander';
import type { Actor } from '../operate/audit.ts';
import { single } from './options.ts';

export type ActorOptions = { readonly as?: string; readonly reason?: string };

/** Adds the options of every command that changes something. */
export function addActor(command: Command, reason = 'why, for the audit'): Command {
  return command
    .option('--reason <text>', reason, single)
    .option('--as <name>', 'who does it, for the audit; default: your user name here', single);
}

export function actorOf({ as, reason }: ActorOptions): Actor {
  const by = as ?? userName(String(process.getuid?.() ?? 'unknown'));
  return { by, key: null, via: 'cli', requestId: null, reason: reason ?? null };
}

/** A container may run as a user id without a name. */
export function userName(otherwise: string): string {
  try {
    return userInfo().username;
  } catch {
    return otherwise;
  }
}
