// The regression guard: a short drain beside pg-boss alone. It fails when our ratio to pg-boss falls below half of the recorded one. Ratios of
// one run can be compared between machines, times cannot. `--record` writes the measured ratio.

import { readFileSync, writeFileSync } from 'node:fs';
import { drain } from './drain.ts';

const file = new URL('recorded.json', import.meta.url);
const peer = 'pg-boss';

const { ratios, perSecond, leftOut } = await drain({ messages: 10_000, rounds: 3, peers: [peer] });
if (leftOut[peer] !== undefined) throw new Error(`${peer} was not measured: ${leftOut[peer]}`);
const ratio = ratios[peer]!;
const rates = Object.entries(perSecond).map(([name, { median }]) => `${name} ${Math.round(median)}`);
if (process.argv.includes('--record')) {
  writeFileSync(file, `${JSON.stringify({ drain: { [peer]: Number(ratio.toFixed(2)) } })}\n`);
} else {
  const recorded = (JSON.parse(readFileSync(file, 'utf8')) as { drain: Record<string, number> }).drain[peer]!;
  const told = `drain beside ${peer} alone: ${ratio.toFixed(2)} times its rate (recorded: ${recorded}); messages a second: ${rates.join(', ')}`;
  console.log(told);
  if (ratio < recorded / 2) {
    console.error(`that is less than half of what was recorded: something has made delivering slower`);
    process.exitCode = 1;
  }
}
