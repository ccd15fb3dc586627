// One path through the model, done on Postgres as well: the answers and the rows are compared after each step.

import { apply, type Traits } from './apply.ts';
import type { PostgresWorld } from './postgres-world.ts';
import { brokenState } from './rules.ts';
import { seenOf } from './seen.ts';
import { initial, type State } from './state.ts';
import { stepsFrom, wordsOf, type Scenario, type Step } from './step.ts';

const traits: Traits = { claimPassesKeys: false };

/** A step by a number: first of which sort, so that the many claims do not crowd out the others, then which of the sort. */
function chosen(state: State, scenario: Scenario, choice: number): Step {
  const steps = stepsFrom(state, scenario);
  const sorts = [...Map.groupBy(steps, (step) => step.do).values()];
  const sort = sorts[choice % sorts.length]!;
  return sort[Math.floor(choice / sorts.length) % sort.length]!;
}

/**
 * @param choices a number for each step
 * @throws Error with the path, when Postgres answers or has anything else than the model
 */
export async function walk(
  world: PostgresWorld,
  scenario: Scenario,
  choices: readonly number[],
): Promise<void> {
  let state = initial;
  const path: string[] = [];
  for (const choice of choices) {
    const step = chosen(state, scenario, choice);
    path.push(`  ${path.length + 1}. ${wordsOf(step)}`);
    const after = apply(state, step, traits);
    ({ state } = after);
    const broken = brokenState(state, traits);
    if (broken !== undefined) throw new Error(`${broken}, after\n${path.join('\n')}`);
    const answer = await world.do(step);
    differ('the answers', after.answer, answer, path);
    differ('the messages', seenOf(state, traits), await world.seen(), path);
  }
}

function differ(what: string, wanted: unknown, got: unknown, path: readonly string[]): void {
  const [one, other] = [wanted, got].map((value) => JSON.stringify(value, null, 1));
  if (one !== other)
    throw new Error(`${what} differ.\nmodel: ${one}\nPostgres: ${other}\nafter\n${path.join('\n')}`);
}
