// The names in the sources, derived from the name that a person gives: of the definition, the file and the constant.

import { WaybillError } from '../errors.ts';

export type Naming = {
  /** As given: `orders.place`. */
  readonly name: string;
  /** Without the file's ending: `orders-place`. */
  readonly file: string;
  /** `ordersPlace` */
  readonly variable: string;
};

const form = /^[A-Za-z][A-Za-z0-9]*(?:[._:/-][A-Za-z0-9]+)*$/;

/** Words of the language, and names that the generated files use for something else. */
const reserved = new Set(
  `arguments await break case catch class const continue debugger default delete do else enum eval export extends false finally for
   function if implements import in instanceof interface let new null package private protected public return static super switch
   this throw true try typeof undefined var void while with yield z it expect outbox seen defineAction defineApp defineCron
   defineEvent defineJob defineListener defineOutboxRegistry createMemoryOutbox createOutboxEventRecorder drainOutbox enqueueJob
   runAction`.split(/\s+/),
);

/** @throws WaybillError `invalid_name_to_make` */
export function namingOf(kind: string, name: string): Naming {
  if (name.length > 100 || !form.test(name))
    throw new WaybillError(
      'invalid_name_to_make',
      `${JSON.stringify(name.slice(0, 110))} is no name for ${kind === 'event' || kind === 'action' ? 'an' : 'a'} ${kind}: up to 100 letters and digits, beginning with a letter, with '.', '-', '_', ':' or '/' between words`,
    );
  const words = name
    .replaceAll(/([a-z0-9])([A-Z])/g, '$1-$2')
    .split(/[._:/-]/)
    .map((word) => word.toLowerCase());
  const capital = (word: string): string => `${word[0]?.toUpperCase()}${word.slice(1)}`;
  const [first = '', ...rest] = words;
  const camel = `${first}${rest.map(capital).join('')}`;
  return { name, file: words.join('-'), variable: reserved.has(camel) ? `${camel}${capital(kind)}` : camel };
}
