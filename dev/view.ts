// The demo's output: on a terminal a small table that is redrawn, elsewhere plain lines.

import { missing, parts, type FollowedOrder, type Way } from './follow.ts';

export type View = {
  /** Prints a line above the table. */
  say(line: string): void;
  placed(order: FollowedOrder): void;
  finished(order: FollowedOrder): void;
  /** Redraws the table. */
  draw(orders: readonly FollowedOrder[]): void;
  end(): void;
};

const rowsShown = 12;
const columnWidth = 19;

export function createView(output: NodeJS.WriteStream): View {
  return output.isTTY ? liveView(output) : plainView(output);
}

function plainView(output: NodeJS.WritableStream): View {
  const say = (line: string): void => void output.write(`${line}\n`);
  return {
    say,
    placed: (order) => say(`${label(order)} committed, answered in ${Math.round(order.answerMs)} ms`),
    finished(order) {
      for (const way of sorted(order.ways))
        say(
          `${label(order)} ${word(way).padEnd(8)} relayed ${ms(way.relayedMs)} → claimed ${ms(way.claimedMs)} → delivered ${ms(way.deliveredMs)}`,
        );
    },
    draw: () => undefined,
    end: () => undefined,
  };
}

function liveView(output: NodeJS.WriteStream): View {
  let drawn = 0;
  const clear = (): string => (drawn > 0 ? `\x1b[${drawn}A\x1b[J` : '');
  let last: readonly string[] = [];
  const show = (lines: readonly string[]): void => {
    // A line that wraps would falsify the count of lines to overwrite.
    const cut = lines.map((line) => line.slice(0, Math.max(20, (output.columns || 80) - 1)));
    output.write(`${clear()}${cut.map((line) => `${line}\n`).join('')}`);
    drawn = cut.length;
    last = lines;
  };
  return {
    say(line) {
      output.write(`${clear()}${line}\n`);
      drawn = 0;
      show(last);
    },
    placed: () => undefined,
    finished: () => undefined,
    draw: (orders) => show(tableOf(orders)),
    end() {
      drawn = 0; // leaves the table on the screen
      last = [];
    },
  };
}

function tableOf(orders: readonly FollowedOrder[]): string[] {
  const head = ['order      answer', ...Object.values(parts).map((name) => name.padEnd(columnWidth))].join(
    '  ',
  );
  const rows = orders.slice(-rowsShown).map((order) => {
    const cells = Object.keys(parts).map((kind) =>
      cell(order.ways.find((way) => way.kind === kind)).padEnd(columnWidth),
    );
    return `#${String(order.number).padEnd(5)} ${`${Math.round(order.answerMs)} ms`.padStart(9)}   ${cells.join('  ')}`;
  });
  return [
    '',
    head,
    ...rows,
    '',
    summary(orders),
    'relayed → claimed → delivered, in milliseconds after the commit · Ctrl-C stops everything',
  ];
}

function cell(way: Way | undefined): string {
  if (way === undefined) return '·';
  if (way.status !== 'delivered')
    return way.lastError ? `${way.status}: ${way.lastError}`.slice(0, columnWidth) : way.status;
  return `${way.relayedMs ?? '–'} → ${way.claimedMs ?? '–'} → ${way.deliveredMs ?? '–'}`;
}

/** Totals and the median time of a receipt. */
export function summary(orders: readonly FollowedOrder[]): string {
  const done = orders.filter((order) => order.done);
  const receipts = done.flatMap((order) =>
    order.ways.filter((way) => way.kind === 'email').map((way) => way.deliveredMs ?? 0),
  );
  const median = receipts.toSorted((a, b) => a - b)[Math.floor(receipts.length / 2)];
  const messages = done.reduce((sum, order) => sum + order.ways.length, 0);
  const middle = median === undefined ? '' : `, receipts after ${median} ms in the median`;
  return `${orders.length} orders placed, ${done.length} complete: ${messages} messages delivered${middle}`;
}

/** Which orders are not complete, and why. */
export function openOrders(orders: readonly FollowedOrder[]): string[] {
  return orders
    .filter((order) => !order.done)
    .map((order) => `${label(order)}: ${missing(order).join('; ')}`);
}

const label = (order: FollowedOrder): string => `order #${order.number} ${order.orderId.slice(-8)}`;
const word = (way: Way): string => (way.kind in parts ? parts[way.kind as keyof typeof parts] : way.kind);
const ms = (value: number | null): string => (value === null ? '–' : `+${value} ms`);
const order = Object.keys(parts);
const sorted = (ways: readonly Way[]): Way[] =>
  ways.toSorted((a, b) => order.indexOf(a.kind) - order.indexOf(b.kind));
