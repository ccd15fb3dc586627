// Checks that every definition shares: known options and schemas that JSON can carry.

import type { SealOptions, Sealing } from '../message/seal.ts';
import { z } from 'zod';
import { checkOptions as checkGiven } from '../options.ts';
import { WaybillError } from '../errors.ts';
import { onDeads, type OnDead } from '../message/flow.ts';

/** @throws WaybillError `definition_invalid` with the definition and the problem */
export function refuseDefinition(what: string, problem: string): never {
  throw new WaybillError('definition_invalid', `${what}: ${problem}`);
}

/** @throws WaybillError `definition_invalid` */
export function checkOptions(
  what: string,
  given: unknown,
  known: readonly string[],
): asserts given is object {
  checkGiven(what, given, known, 'definition_invalid');
}

/** The definition's title in errors. `options` is not checked yet. */
export function titleOf(kind: string, options: unknown): string {
  const { name } = (options ?? {}) as { readonly name?: unknown };
  return typeof name === 'string' ? `${kind} ${name.slice(0, 200)}` : kind;
}

/** @throws WaybillError `definition_invalid` */
export function onDeadOf(what: string, onDead: OnDead = 'block'): OnDead {
  if (!onDeads.includes(onDead)) refuseDefinition(what, `onDead must be ${onDeads.join(' or ')}`);
  return onDead;
}

/**
 * A payload is encoded when recorded and decoded when delivered. So its schema must work in both directions, with JSON as
 * the encoded side.
 */
export function checkPayloadSchema(what: string, schema: unknown): void {
  checkSchema(what, 'payload', schema);
  if (checkJsonSide(what, 'payload', schema))
    refuseDefinition(
      what,
      'payload has a transform that cannot be undone: use z.codec with a decode and an encode',
    );
}

/** @throws WaybillError `definition_invalid` */
export function sealingOf(what: string, { sensitive = false, keep = true }: SealOptions): Sealing {
  if (typeof sensitive !== 'boolean' || typeof keep !== 'boolean')
    refuseDefinition(what, 'sensitive and keep must be true or false');
  if (!keep && !sensitive) refuseDefinition(what, 'keep: false needs sensitive: true');
  return { sensitive, keep };
}

export function checkArgumentsSchema(what: string, schema: unknown): void {
  checkSchema(what, 'args', schema);
  checkJsonSide(what, 'args', schema);
}

/** Schemas of zod 3 and zod/mini look like those of zod 4, but lack methods that Waybill needs. */
export function checkSchema(what: string, option: string, schema: unknown): asserts schema is z.ZodType {
  if (schema instanceof z.ZodType) return;
  const refused = `${option} must be a schema of zod 4, from \`import { z } from 'zod'\``;
  if (typeof schema !== 'object' || schema === null) refuseDefinition(what, refused);
  if ('_zod' in schema) refuseDefinition(what, `${refused}; this one is of zod/mini`);
  if ('_def' in schema) refuseDefinition(what, `${refused}; this one is of zod 3: npm install zod@4`);
  refuseDefinition(what, refused);
}

/** @returns whether the schema has a transform that cannot be reversed */
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
