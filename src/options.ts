// The check of the options that users give. An unknown option is a typing error, and would otherwise be ignored silently.

import { WaybillError } from './errors.ts';
import { nearest } from './nearest.ts';

/**
 * @param what whose options these are, for the message
 * @param code of the error; default `options_invalid`
 * @throws WaybillError that names the problem, the known options, and the one that was probably meant
 */
export function checkOptions(
  what: string,
  given: unknown,
  known: readonly string[],
  code = 'options_invalid',
): asserts given is object {
  const fail = (problem: string): never => {
    throw new WaybillError(code, `${what}: ${problem}`);
  };
  if (!isOptions(given))
    fail(`expected an object with the options ${known.join(', ')}, not ${kindOf(given)}`);
  const [first] = unknownOptions(given as object, known);
  if (first !== undefined) fail(first);
}

/** A sentence for each unknown option. An option whose value is undefined counts as absent. */
export function unknownOptions(given: object, known: readonly string[]): string[] {
  const strange: string[] = [];
  for (const [option, value] of Object.entries(given)) {
    if (value === undefined || known.includes(option)) continue;
    const meant = nearest(option, known);
    const there = `there are ${known.join(', ')}`;
    const shown = option.slice(0, 80);
    strange.push(
      meant === undefined
        ? `there is no option ${shown}; ${there}`
        : `there is no option ${shown}, was ${meant} meant? All of them: ${known.join(', ')}`,
    );
  }
  return strange;
}

/** False for a list, and for a Date, Map or promise without properties: there is no option to read. */
function isOptions(given: unknown): boolean {
  if (typeof given !== 'object' || given === null || Array.isArray(given)) return false;
  const prototype: unknown = Object.getPrototypeOf(given);
  return prototype === null || prototype === Object.prototype || Object.keys(given).length > 0;
}

function kindOf(given: unknown): string {
  if (given === null) return 'null';
  if (Array.isArray(given)) return 'a list';
  if (typeof given === 'object') return `a ${given.constructor?.name || 'strange object'}`;
  if (typeof given === 'number' || typeof given === 'boolean') return String(given);
  return `a ${typeof given}`; // it may hold anything, so it is not shown
}
