// The subjects by name: Waybill, and the peers as they are and as their documentation tunes them.

import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import type { Subject } from '../subject.ts';
import { project, waybill } from '../waybill.ts';
import { bullmq } from './bullmq.ts';
import { graphileWorker } from './graphile-worker.ts';
import { pgBoss } from './pg-boss.ts';

const all: Readonly<Record<string, () => Subject>> = {
  waybill,
  'pg-boss': () => pgBoss(false),
  'pg-boss-tuned': () => pgBoss(true),
  'graphile-worker': graphileWorker,
  bullmq: () => bullmq(false),
  'bullmq-tuned': () => bullmq(true),
};

export const peerNames = Object.keys(all).filter((name) => name !== 'waybill');

/** @param name one of `peerNames`, or `waybill` */
export const subjectNamed = (name: string): Subject => all[name]!();

/** @returns why the peer cannot be run here, and what to do; undefined: it can */
export function problemOf(name: string): string | undefined {
  const [library = ''] = name.split('-tuned');
  if (library === 'waybill' || library === 'pg-boss') return undefined;
  try {
    createRequire(`${project}bench/package.json`).resolve(library);
  } catch {
    return `${library} is not installed: run \`npm ci --prefix bench\``;
  }
  return library === 'bullmq' && !hasRedis() ? 'redis-server is not installed' : undefined;
}

function hasRedis(): boolean {
  try {
    execFileSync('redis-server', ['--version'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}
