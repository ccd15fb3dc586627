// The text of a migration. In the published package the build puts the texts into this module (dev/inline-migrations.ts): a bundler moves
// code away from the files beside it.

import { readFileSync } from 'node:fs';

/** @param file in sql/, such as `0001_messages.sql`. @returns its text, with `\n` between lines */
export function migrationText(file: string): string {
  return readFileSync(new URL(`../../sql/${file}`, import.meta.url), 'utf8').replaceAll('\r\n', '\n');
}
