// The definitions in a source: their names, and the events that an action records without listing them in its emits.

import { append, indentAt, newlineOf, type Edit } from './edit.ts';
import type { Property } from './module.ts';
import { bare, callsOf, child, children, constantsOf, lineOf, nameOf } from './source.ts';
import { nodesOf, propertyOf, textOf, valueOf, type Node, type Source } from './source.ts';

export type DefinitionKind = 'action' | 'event' | 'listener' | 'job' | 'cron';

export const propertyOfKind: Readonly<Record<DefinitionKind, Property>> = {
  action: 'actions',
  event: 'events',
  listener: 'listeners',
  job: 'jobs',
  cron: 'cron',
};

const defines: Readonly<Record<string, DefinitionKind>> = {
  defineAction: 'action',
  defineEvent: 'event',
  defineListener: 'listener',
  defineJob: 'job',
  defineCron: 'cron',
};

export type Definition = {
  readonly kind: DefinitionKind;
  /** As written in the source; for cron, the names of its jobs. Empty when a name is computed. */
  readonly names: readonly string[];
  /** The constant that holds it, or null. */
  readonly variable: string | null;
  /** Whether other files can import it under that name. */
  readonly exported: boolean;
  readonly line: number;
  readonly call: Node;
};

export function definitionsOf(source: Source): Definition[] {
  return callsOf(source, Object.keys(defines)).flatMap(({ name, call }) => {
    const kind = defines[name];
    if (kind === undefined) return [];
    const held = constantsOf(source.body).find(({ declarator }) => bare(child(declarator, 'init')) === call);
    const variable = nameOf(child(held?.declarator, 'id')) ?? null;
    const exported = variable !== null && (held?.exported === true || isListed(source, variable));
    const names = namesOf(source, kind, call);
    return [{ kind, names, variable, exported, line: lineOf(source, call), call }];
  });
}

/** As `export { name }`. */
function isListed({ body }: Source, variable: string): boolean {
  return body
    .filter((one) => one.type === 'ExportNamedDeclaration' && child(one, 'source') === undefined)
    .flatMap((one) => children(one, 'specifiers'))
    .some((one) =>
      [child(one ?? undefined, 'local'), child(one ?? undefined, 'exported')].every(
        (n) => nameOf(n) === variable,
      ),
    );
}

function optionsOf(source: Source, call: Node): Node | undefined {
  const options = valueOf(source, children(call, 'arguments')[0] ?? undefined);
  return options?.type === 'ObjectExpression' ? options : undefined;
}

function namesOf(source: Source, kind: DefinitionKind, call: Node): string[] {
  const options = optionsOf(source, call);
  if (kind !== 'cron') return [textOf(option(source, options, 'name')) ?? []].flat();
  const names = children(option(source, options, 'jobs'), 'elements').map((job) =>
    textOf(option(source, valueOf(source, job ?? undefined), 'name')),
  );
  return names.every((name) => name !== undefined) ? names : [];
}

function option(source: Source, options: Node | undefined, key: string): Node | undefined {
  return valueOf(source, child(propertyOf(options, key), 'value'));
}

export type Undeclared = {
  /** The action's name, or its constant's. */
  readonly action: string;
  /** The event as the source names it. */
  readonly event: string;
  readonly line: number;
  /** The edits that declare it; null when emits is not an array literal. */
  readonly edits: readonly Edit[] | null;
};

/** Events that an action's handler records through its context and that its emits lacks. A helper that gets the context is not followed. */
export function undeclaredEvents(source: Source): Undeclared[] {
  return definitionsOf(source)
    .filter(({ kind }) => kind === 'action')
    .flatMap((action) => {
      const options = optionsOf(source, action.call);
      const property = propertyOf(options, 'emits');
      const emits = valueOf(source, child(property, 'value'));
      const listed = children(emits, 'elements').map((one) => nameOf(bare(one ?? undefined)));
      const open = property && (emits?.type !== 'ArrayExpression' || listed.includes(undefined));
      const seen = recordedIn(propertyOf(options, 'handler')).filter(({ event }) => !listed.includes(event));
      const missing = [...new Map(seen.map((one) => [one.event, one])).values()];
      const declare =
        missing.length === 0 || open
          ? null
          : declaring(
              source,
              options!,
              emits,
              missing.map(({ event }) => event),
            );
      return missing.map(({ event, call }, i) => ({
        action: action.names[0] ?? action.variable ?? '?',
        event,
        line: lineOf(source, call),
        edits: declare && (i === 0 ? declare : []), // one edit declares all of the action's events
      }));
    });
}

function declaring(
  source: Source,
  options: Node,
  emits: Node | undefined,
  events: readonly string[],
): Edit[] {
  if (emits) return append(source, emits, events.join(', '));
  const handler = propertyOf(options, 'handler')!;
  const { text } = source;
  const own = text.slice(0, handler.start).endsWith(`\n${indentAt(text, handler.start)}`);
  const gap = own ? `${newlineOf(text)}${indentAt(text, handler.start)}` : ' ';
  return [{ at: handler.start, insert: `emits: [${events.join(', ')}],${gap}` }];
}

/** Calls of `ctx.events.record(X …)` and `recordMany`, also when the handler destructures `{ events }`. */
function recordedIn(handler: Node | undefined): { event: string; call: Node }[] {
  const made = handler?.type === 'ObjectMethod' ? handler : bare(child(handler, 'value'));
  const ctx = children(made, 'params')[0];
  if (!made || !ctx) return [];
  const taken = child(propertyOf(ctx, 'events'), 'value');
  const events = nameOf(taken);
  return [...nodesOf(made)].flatMap((call) => {
    const callee = call.type === 'CallExpression' ? child(call, 'callee') : undefined;
    if (!['record', 'recordMany'].includes(nameOf(child(callee, 'property')) ?? '')) return [];
    const of = bare(child(callee, 'object'));
    const whole = nameOf(child(of, 'object'));
    const isRecorder =
      whole === undefined
        ? events !== undefined && nameOf(of) === events
        : whole === nameOf(ctx) && nameOf(child(of, 'property')) === 'events';
    const event = nameOf(bare(children(call, 'arguments')[0] ?? undefined));
    return isRecorder && event !== undefined ? [{ event, call }] : [];
  });
}
