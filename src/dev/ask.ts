// A question that is answered with yes or no in a terminal.

import { createInterface } from 'node:readline/promises';

/** @returns whether the answer was yes: Enter alone is yes, a closed input is no */
export async function isAgreed(question: string, signal: AbortSignal): Promise<boolean> {
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const closed = new Promise<string>((resolve) => terminal.once('close', () => resolve('no')));
  terminal.on('SIGINT', () => process.kill(process.pid, 'SIGINT')); // as it would be without a question
  try {
    const answer = await Promise.race([terminal.question(`${question} [Y/n] `, { signal }), closed]);
    return /^\s*(?:y|yes)?\s*$/i.test(answer);
  } finally {
    terminal.close();
  }
}
