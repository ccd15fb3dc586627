// `npm run demo`: the whole fleet on this machine, made-up orders, and the path of each one's messages. With `--once`: twenty orders; exit code 0
// when all their messages are delivered, 1 when not.

import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { createApi, type Api } from './api.ts';
import { createAttemptLog } from './attempt-log.ts';
import { consoleLink } from '../src/console/link.ts';
import { startFleet, type Fleet } from './fleet.ts';
import { createFollower, type Follower } from './follow.ts';
import { onInterrupt } from '../src/dev/interrupt.ts';
import { orderBody } from './orders.ts';
import { createView, openOrders, summary, type View } from './view.ts';

type Plan = {
  /** Stops after this many orders. */
  readonly orders: number;
  readonly pauseMs: number;
  /** How long to wait for the deliveries after the last order. */
  readonly patienceMs: number;
};

const once: Plan = { orders: 20, pauseMs: 100, patienceMs: 30_000 };
const forever: Plan = { orders: Infinity, pauseMs: 1_000, patienceMs: 0 };
const lookEvery = 150;

async function main(): Promise<number> {
  const plan = readPlan();
  if (plan === undefined) return 2;
  const interrupt = onInterrupt();
  const view = createView(process.stdout);
  try {
    view.say('starting Postgres and the fleet …');
    const fleet = await startFleet({ say: view.say, signal: interrupt.signal });
    interrupt.onHurry(fleet.kill);
    try {
      showAddresses(fleet, view);
      return await playOrders(fleet, plan, view, interrupt.signal);
    } finally {
      view.say('stopping …');
      await fleet.stop();
      view.say('stopped: no process is left');
    }
  } catch (error) {
    if (interrupt.signal.aborted) return 0;
    console.error(`the demo failed: ${(error as Error).message}`);
    return 1;
  } finally {
    interrupt.end();
  }
}

function readPlan(): Plan | undefined {
  try {
    const { values } = parseArgs({ options: { once: { type: 'boolean', default: false } } });
    return values.once ? once : forever;
  } catch (error) {
    console.error(`${(error as Error).message}\nusage: npm run demo [-- --once]`);
    return undefined;
  }
}

function showAddresses(fleet: Fleet, view: View): void {
  view.say(`API      ${fleet.api}/orders   (Authorization: Bearer ${fleet.apiKey})`);
  view.say(`admin    ${fleet.api}/admin/outbox   (Authorization: Bearer ${fleet.adminKey})`);
  view.say(`console  ${consoleLink(fleet.api, fleet.adminKey)}   (signs you in, once)`);
  for (const { role, url } of fleet.metrics)
    view.say(`metrics  ${url}   (${role === 'web' ? 'the whole fleet' : role})`);
  view.say(`logs     ${fleet.logDir}`);
}

/** Returns the exit code. */
async function playOrders(fleet: Fleet, plan: Plan, view: View, signal: AbortSignal): Promise<number> {
  const api = createApi(fleet);
  const follower = createFollower(api, createAttemptLog(fleet.logDir));
  const looking = new AbortController();
  const looks = look(follower, view, looking.signal);
  await placeOrders(api, follower, plan, view, signal);
  const deadline = performance.now() + plan.patienceMs;
  const isOpen = (): boolean => follower.orders().some((order) => !order.done);
  while (isOpen() && performance.now() < deadline && !signal.aborted) await sleep(20);
  looking.abort();
  await looks;
  view.end();
  view.say(summary(follower.orders()));
  if (plan.orders === Infinity) return 0;
  const open = openOrders(follower.orders());
  for (const line of open) view.say(line);
  return open.length === 0 && follower.orders().length === plan.orders ? 0 : 1;
}

async function placeOrders(
  api: Api,
  follower: Follower,
  plan: Plan,
  view: View,
  signal: AbortSignal,
): Promise<void> {
  for (let number = 1; number <= plan.orders && !signal.aborted; number++) {
    const placedAt = new Date();
    const started = performance.now();
    try {
      const { orderId } = await api.placeOrder(orderBody(number));
      const order = { number, orderId, placedAt, answerMs: performance.now() - started };
      follower.add(order);
      view.placed({ ...order, ways: [], done: false, stepsSince: 0 });
    } catch (error) {
      view.say(`order #${number} was not taken: ${(error as Error).message}`);
    }
    await sleep(plan.pauseMs, undefined, { signal }).catch(() => undefined); // interrupted: the loop's condition ends it
  }
}

async function look(follower: Follower, view: View, signal: AbortSignal): Promise<void> {
  const troubles = { last: '' };
  while (!signal.aborted) {
    try {
      for (const order of await follower.step()) view.finished(order);
      troubles.last = '';
    } catch (error) {
      const { message } = error as Error;
      if (message !== troubles.last) view.say(`the admin API does not answer: ${message}`);
      troubles.last = message;
    }
    view.draw(follower.orders());
    await sleep(lookEvery, undefined, { signal }).catch(() => undefined); // interrupted: the loop's condition ends it
  }
}

process.exitCode = await main();
