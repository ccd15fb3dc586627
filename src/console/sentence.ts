// The sentence at the top of Now: the worst thing first, in the order of the alerts, or that all is well.

import { alarms, type Facts, type Sentence } from './alarms.ts';
import { number, plural } from './figures.ts';
import { markup } from './markup.ts';

export function sentenceOf(facts: Facts): Sentence {
  const said = alarms.map(({ check }) => check(facts)).filter((one) => one !== null);
  const [first, ...others] = said;
  if (first === undefined) return well(facts);
  if (others.length === 0) return first;
  const rest = others.map(({ headline }) => markup`<br />${headline}`);
  return { ...first, more: markup`${first.more}${rest}` };
}

function well({ stats, processes }: Facts): Sentence {
  const { delivered, sending } = stats.byStatus;
  return {
    tone: 'good',
    headline: 'All is well.',
    more: markup`${plural(processes.length, 'process', 'processes')} alive, ${number(sending)} running, ${number(delivered)} delivered messages kept.`,
  };
}
