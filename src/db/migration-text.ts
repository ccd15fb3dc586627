// The text of a migration. The build puts the texts into this module of the published package (dev/inline.ts), because a bundler separates
// code from the files beside it.

import { readFileSync } from 'node:fs';

/** @param file in sql/, such as `0001_messages.sql`. @returns its text, with `\n` between lines */
export function migrationText(file: string): string {
  return readFileSync(new URL(`../../sql/${file}`, import.meta.url), 'utf8').replaceAll('\r\n', '\n');
}
