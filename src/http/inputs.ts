// Reads the arguments of an action with its own route from body, path and query.
// Texts in path and query become numbers or booleans where the schema needs them.

import { z } from 'zod';
import type { Action } from '../define/action.ts';
import { WaybillError } from '../errors.ts';
import { checkJson } from './body.ts';

type Texts = Readonly<Record<string, string | string[] | undefined>>;
export type Inputs = {
  readonly params: Texts;
  readonly query: Texts;
  readonly body: Readonly<Record<string, unknown>>;
};
type Types = Readonly<Record<string, string | undefined>>;

export function inputReader(action: Action): (inputs: Inputs) => Record<string, unknown> {
  const types = typesOf(action.args);
  return ({ params, query, body }) => {
    const texts = { ...valuesOf(query, types), ...valuesOf(params, types) };
    for (const name of [...Object.keys(params), ...Object.keys(query)])
      if (Object.hasOwn(body, name) || (Object.hasOwn(params, name) && Object.hasOwn(query, name)))
        throw new WaybillError(
          'argument_given_twice',
          `${name} is given twice: it may be in the path, the query or the body, once`,
        );
    checkJson(texts);
    return { ...body, ...texts };
  };
}

function typesOf(args: z.ZodType): Types {
  const { properties = {} } = z.toJSONSchema(args, { io: 'input' });
  return Object.fromEntries(
    Object.entries(properties).map(([name, schema]) => [
      name,
      typeof schema === 'object' ? [schema.type].flat()[0] : undefined,
    ]),
  );
}

function valuesOf(texts: Texts, types: Types): Record<string, unknown> {
  return Object.fromEntries(Object.entries(texts).map(([name, text]) => [name, valueOf(text, types[name])]));
}

/** Text that does not look like the type stays text, and the schema refuses it. */
function valueOf(text: string | string[] | undefined, type: string | undefined): unknown {
  if (type === 'array') return Array.isArray(text) ? text : [text];
  if (typeof text !== 'string') return text;
  if (type === 'boolean' && (text === 'true' || text === 'false')) return text === 'true';
  if ((type === 'integer' || type === 'number') && /^-?\d+(\.\d+)?$/.test(text)) return Number(text);
  return text;
}
