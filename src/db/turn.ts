// What is asked in one turn of the event loop shares a statement: a worker begins the messages of a claim together.

import { setImmediate as turn } from 'node:timers/promises';

/** @param ask answers all of a turn, in their order */
export function inTurns<Q, A>(ask: (all: readonly Q[]) => Promise<readonly A[]>): (one: Q) => Promise<A> {
  let asked: Q[] = [];
  let answers: Promise<readonly A[]> | undefined;

  async function askAll(): Promise<readonly A[]> {
    await turn();
    const all = asked;
    asked = [];
    answers = undefined;
    return ask(all);
  }

  return async (one) => {
    const place = asked.push(one) - 1;
    return (await (answers ??= askAll()))[place]!;
  };
}
