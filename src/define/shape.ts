// What every definition has in common: known options, a schema that JSON can carry. What is wrong is said when it is written.

import { z } from 'zod';
import { nearest } from '../nearest.ts';
import { WaybillError } from '../outbox/errors.ts';

/** @throws WaybillError `definition_invalid` that names the definition and what is wrong with it */
export function refuseDefinition(what: string, problem: string): never {
  throw new WaybillError('definition_invalid', `${what}: ${problem}`);
}

/** Unknown options are typing errors: they would be ignored in silence. */
export function checkOptions(what: string, given: object, known: readonly string[]): void {
  const [first] = unknownOptions(given, known);
  if (first !== undefined) refuseDefinition(what, first);
}

/** A sentence for each option that is not known. */
export function unknownOptions(given: object, known: readonly string[]): string[] {
  return Object.keys(given)
    .filter((option) => !known.includes(option))
    .map((option) => {
      const meant = nearest(option, known);
      return `there is no option ${option}${meant ? `, was ${meant} meant?` : `; there are ${known.join(', ')}`}`;
    });
}

/**
 * A payload is encoded when it is recorded and decoded when it is delivered, so its schema must work in both directions,
 * and its encoded side must be JSON.
 */
export function checkPayloadSchema(what: string, schema: unknown): void {
  if (!(schema instanceof z.ZodType)) refuseDefinition(what, 'payload must be a zod schema');
  const oneWay = checkJsonSide(what, 'payload', schema);
  if (oneWay)
    refuseDefinition(
      what,
      'payload has a transform that cannot be undone: use z.codec with a decode and an encode',
    );
}

export function checkArgumentsSchema(what: string, schema: unknown): void {
  if (!(schema instanceof z.ZodType)) refuseDefinition(what, 'args must be a zod schema');
  checkJsonSide(what, 'args', schema);
}

/** Gives whether the schema has a transform without a way back. */
function checkJsonSide(what: string, option: string, schema: z.ZodType): boolean {
  let oneWay = false;
  try {
    z.toJSONSchema(schema, {
      io: 'input',
      override({ zodSchema }) {
        const { def } = zodSchema._zod;
        if (def.type === 'pipe' && [def.in, def.out].some((side) => side._zod.def.type === 'transform'))
          oneWay = true;
      },
    });
  } catch (error) {
    refuseDefinition(
      what,
      `${option} holds what JSON cannot carry (${(error as Error).message}); a z.codec can turn it into text`,
    );
  }
  return oneWay;
}
