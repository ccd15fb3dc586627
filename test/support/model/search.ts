// Breadth-first search through the states of the model. Each step is done on the outbox in memory as well, and what is seen there is compared.

import { apply, type Traits } from './apply.ts';
import type { MemoryWorld } from './memory-world.ts';
import { brokenState, brokenStep } from './rules.ts';
import { seenOf } from './seen.ts';
import { initial, keyOf, type State } from './state.ts';
import { stepsFrom, wordsOf, type Scenario, type Step } from './step.ts';

type Node = {
  readonly state: State;
  readonly world: MemoryWorld;
  readonly from: Node | null;
  readonly step: Step | null;
};

export type Found = {
  readonly states: number;
  readonly edges: number;
  readonly depth: number;
  /** All states were seen before the depth was reached. */
  readonly isComplete: boolean;
  readonly seconds: number;
};

/** The path to a node, and one more step, as lines. */
function pathTo(node: Node, last: Step): string {
  const steps = [last];
  for (let at: Node | null = node; at?.step; at = at.from) steps.unshift(at.step);
  return steps.map((step, i) => `  ${i + 1}. ${wordsOf(step)}`).join('\n');
}

const traits: Traits = { claimPassesKeys: true };

/**
 * Searches from the empty queue.
 * @param empty an outbox without messages
 * @throws Error with the shortest path to a state that breaks a rule, or to an answer or a state that is different in memory
 */
export async function search(scenario: Scenario, empty: MemoryWorld): Promise<Found> {
  const began = performance.now();
  const known = new Set([keyOf(initial)]);
  let level: Node[] = [{ state: initial, world: empty, from: null, step: null }];
  let [edges, depth] = [0, 0];
  for (; depth < scenario.depth && level.length > 0; depth++) {
    const next: Node[] = [];
    for (const node of level)
      for (const step of stepsFrom(node.state, scenario)) {
        edges++;
        const after = await follow(node, step);
        const key = keyOf(after.state);
        if (known.has(key)) continue;
        known.add(key);
        const broken = brokenState(after.state, traits);
        if (broken !== undefined) throw new Error(`${broken}, after\n${pathTo(node, step)}`);
        next.push(after);
      }
    level = next;
  }
  const seconds = (performance.now() - began) / 1000;
  return { states: known.size, edges, depth, isComplete: level.length === 0, seconds };
}

async function follow(node: Node, step: Step): Promise<Node> {
  const { state, answer } = apply(node.state, step, traits);
  const broken = brokenStep(node.state, step, state);
  if (broken !== undefined) throw new Error(`${broken}, after\n${pathTo(node, step)}`);
  const { world, answer: given } = await node.world.after(step, state.now);
  differ('the answer', answer, given, node, step);
  differ('the messages', seenOf(state, traits), world.seen(), node, step);
  return { state, world, from: node, step };
}

function differ(what: string, wanted: unknown, got: unknown, node: Node, step: Step): void {
  const [one, other] = [JSON.stringify(wanted, null, 1), JSON.stringify(got, null, 1)];
  if (one !== other)
    throw new Error(`${what} differ.\nmodel: ${one}\nmemory: ${other}\nafter\n${pathTo(node, step)}`);
}
