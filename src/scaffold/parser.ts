// The parser of TypeScript. The build puts @babel/parser into the package at this place (dev/inline.ts), so it is nobody's dependency: with its own
// dependency, which has types alone, it would be 5 MB.

import * as babel from '@babel/parser';

export type Parsed = { readonly body: readonly unknown[]; readonly comments: readonly unknown[] };

/** @throws SyntaxError when the text is not a TypeScript module */
export function parseTypeScript(text: string, jsx: boolean): Parsed {
  const { program, comments } = babel.parse(text, {
    sourceType: 'module',
    createParenthesizedExpressions: true,
    plugins: ['typescript', 'decorators', 'explicitResourceManagement', ...(jsx ? ['jsx' as const] : [])],
  });
  return { body: program.body, comments: comments ?? [] };
}
