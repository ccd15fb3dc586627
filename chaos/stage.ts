// The stage of a run: Postgres, the wire to it, a mail server and the processes of the subject, all on this machine. Everything is removed afterwards.

import { cpSync, mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { World } from './fault.ts';
import { startMailServer, type MailServer } from './mail.ts';
import { startProcesses } from './processes.ts';
import { removeLeftovers, startServer, type Server } from './server.ts';
import type { Subject, Where } from './subject.ts';
import { project } from './waybill.ts';
import { startWire, type Wire } from './wire.ts';

export const leaseMs = 3_000;
export const slots = 5;
const mailMs = 20;
const startMs = 90_000;

/** Where reports are stored. */
export const home = join(project, '.waybill', 'chaos');

export type Stage = World & { readonly mail: MailServer; readonly where: Where; readonly folder: string };

/** @param use gets a fleet that works; afterwards everything is ended and removed */
export async function withStage<T>(
  subject: Subject,
  wantsDisk: boolean,
  use: (stage: Stage) => Promise<T>,
  more: Pick<Where, 'keepMs'> = {},
): Promise<T> {
  removeLeftovers(home);
  const folder = join(home, `run-${process.pid}`);
  mkdirSync(folder, { recursive: true });
  const ends: (() => Promise<unknown>)[] = [async () => rmSync(folder, { recursive: true, force: true })];
  try {
    const server = await startServer(folder, wantsDisk);
    ends.unshift(server.end);
    const wire = await startWire(server.postgres.port);
    ends.unshift(wire.end);
    const mail = await startMailServer(mailMs);
    ends.unshift(mail.end);
    const where = { ...whereOf(server, wire, mail), ...more };
    ends.unshift(async () => subject.end?.());
    await subject.prepare(where);
    const processes = startProcesses(subject.processes(where), project, folder);
    ends.unshift(processes.end);
    await processes.up(processes.members, startMs);
    return await use({ subject, processes, server, wire, db: server.db, leaseMs, mail, where, folder });
  } finally {
    for (const end of ends) await end();
  }
}

function whereOf({ postgres }: Server, wire: Wire, mail: MailServer): Where {
  const fleet = new URL(postgres.url());
  fleet.port = String(wire.port);
  return { directUrl: postgres.url(), fleetUrl: fleet.href, smtpUrl: mail.url, leaseMs, slots };
}

/** Keeps logs and journals of a run, for those who look for the reason of a breach. @returns where they are */
export function keepLogs({ folder }: Stage, name: string): string {
  const kept = join(home, name);
  rmSync(kept, { recursive: true, force: true });
  const isKept = (path: string): boolean => path === folder || /\.(log|jsonl)$/.test(path);
  cpSync(folder, kept, { recursive: true, filter: isKept });
  return kept;
}
