// A source: the text of a TypeScript module with its syntax tree. Positions are offsets in the text, so that an edit leaves every other character
// as it was.

import { WaybillError } from '../errors.ts';
import { parseTypeScript } from './parser.ts';

export type Node = { readonly type: string; readonly start: number; readonly end: number };

export type Source = {
  /** The path as people see it. */
  readonly file: string;
  readonly text: string;
  readonly body: readonly Node[];
  readonly comments: readonly Node[];
};

export type Import = {
  readonly local: string;
  /** `*` of a whole module, `default` of the default export. */
  readonly imported: string;
  readonly from: string;
  readonly declaration: Node;
  /** `import type`: it imports no value that can be listed. */
  readonly typeOnly: boolean;
};

/** @throws WaybillError `source_invalid` when the text is not a TypeScript module */
export function readSource(file: string, text: string): Source {
  try {
    const { body, comments } = parseTypeScript(text, file.endsWith('x'));
    return { file, text, body: body.map(toNode), comments: comments.map(toNode) };
  } catch (error) {
    throw new WaybillError('source_invalid', `${file}: ${(error as Error).message}`);
  }
}

/** The line number of a node, from 1. */
export function lineOf({ text }: Source, { start }: Node): number {
  return text.slice(0, start).split('\n').length;
}

function isNode(value: unknown): value is Node {
  return (
    typeof value === 'object' && value !== null && typeof (value as { type?: unknown }).type === 'string'
  );
}

function toNode(value: unknown): Node {
  if (isNode(value)) return value;
  throw new TypeError('the parser gave something that is no node');
}

/** The node in a field; undefined when there is none. */
export function child(node: Node | undefined, field: string): Node | undefined {
  const value: unknown = node?.[field as keyof Node];
  return isNode(value) ? value : undefined;
}

/** Null where the array has a hole. */
export function children(node: Node | undefined, field: string): readonly (Node | null)[] {
  const value: unknown = node?.[field as keyof Node];
  return Array.isArray(value) ? value.map((one: unknown) => (isNode(one) ? one : null)) : [];
}

/** The string in a field, such as the name of an identifier or the value of a string. */
export function word(node: Node | undefined, field: string): string | undefined {
  const value: unknown = node?.[field as keyof Node];
  return typeof value === 'string' ? value : undefined;
}

export function nameOf(node: Node | undefined): string | undefined {
  return node?.type === 'Identifier' ? word(node, 'name') : undefined;
}

/** The value of a string, or of a template without expressions. */
export function textOf(node: Node | undefined): string | undefined {
  if (node?.type === 'StringLiteral') return word(node, 'value');
  if (node?.type !== 'TemplateLiteral' || children(node, 'expressions').length > 0) return undefined;
  const quasi: unknown = children(node, 'quasis')[0];
  return (quasi as { value?: { cooked?: string } } | undefined)?.value?.cooked;
}

const wrappers = [
  'ParenthesizedExpression',
  'TSSatisfiesExpression',
  'TSAsExpression',
  'TSNonNullExpression',
];

/** The expression inside parentheses, `as`, `satisfies` and `!`. */
export function bare(node: Node | undefined): Node | undefined {
  return node && wrappers.includes(node.type) ? bare(child(node, 'expression')) : node;
}

/** The node and all its descendants, in the order of the text. */
export function* nodesOf(node: Node): Generator<Node> {
  yield node;
  for (const [field, value] of Object.entries(node) as [string, unknown][]) {
    if (/comments$/i.test(field)) continue;
    for (const one of [value].flat() as unknown[]) if (isNode(one)) yield* nodesOf(one);
  }
}

export function importsOf({ body }: Source): Import[] {
  return body
    .filter(({ type }) => type === 'ImportDeclaration')
    .flatMap((declaration) =>
      children(declaration, 'specifiers').flatMap((specifier) => {
        const local = nameOf(child(specifier ?? undefined, 'local'));
        const from = textOf(child(declaration, 'source'));
        if (specifier === null || local === undefined || from === undefined) return [];
        const typeOnly = [declaration, specifier].some((one) => word(one, 'importKind') === 'type');
        return [{ local, imported: importedName(specifier), from, declaration, typeOnly }];
      }),
    );
}

function importedName(specifier: Node): string {
  if (specifier.type === 'ImportDefaultSpecifier') return 'default';
  if (specifier.type === 'ImportNamespaceSpecifier') return '*';
  const imported = child(specifier, 'imported');
  return nameOf(imported) ?? textOf(imported) ?? '';
}

/** Calls of the given functions that the module imports, also under another name or through a namespace import. */
export function callsOf(
  source: Source,
  functions: readonly string[],
): { name: string; call: Node; from: string }[] {
  const imports = importsOf(source);
  return source.body.flatMap((statement) =>
    [...nodesOf(statement)].flatMap((call) => {
      const callee = call.type === 'CallExpression' ? bare(child(call, 'callee')) : undefined;
      const whole = callee?.type === 'MemberExpression' ? nameOf(child(callee, 'object')) : undefined;
      const local = whole ?? nameOf(callee);
      const found = imports.find(
        (one) => one.local === local && (one.imported === '*') === (whole !== undefined),
      );
      const name = whole === undefined ? found?.imported : nameOf(child(callee, 'property'));
      return found && name !== undefined && functions.includes(name)
        ? [{ name, call, from: found.from }]
        : [];
    }),
  );
}

/** The property of an object literal with this key, a name or a string. */
export function propertyOf(object: Node | undefined, key: string): Node | undefined {
  return (
    children(object, 'properties').find((one) => {
      const name = child(one ?? undefined, 'key');
      return (nameOf(name) ?? textOf(name)) === key;
    }) ?? undefined
  );
}

/** The literal itself; for a name, the value of the module's `const` of that name. */
export function valueOf({ body }: Source, node: Node | undefined): Node | undefined {
  const value = bare(node);
  const name = nameOf(value);
  if (name === undefined) return value;
  for (const { declarator } of constantsOf(body)) {
    if (nameOf(child(declarator, 'id')) === name) return bare(child(declarator, 'init'));
  }
  return value;
}

/** The top-level `const`s, exported or not. */
export function constantsOf(
  body: readonly Node[],
): { statement: Node; declarator: Node; exported: boolean }[] {
  return body.flatMap((statement) => {
    const exported = statement.type === 'ExportNamedDeclaration';
    const declaration = exported ? child(statement, 'declaration') : statement;
    if (declaration?.type !== 'VariableDeclaration' || word(declaration, 'kind') !== 'const') return [];
    return children(declaration, 'declarations').flatMap((declarator) =>
      declarator === null ? [] : [{ statement, declarator, exported }],
    );
  });
}
