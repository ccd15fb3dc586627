// Finds the file that called a define function, so that its errors can name it.

import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The path relative to the working directory; null when the stack does not show it, as in an application bundled into one file. */
export function callingFile(): string | null {
  const files = (new Error('where').stack ?? '').split('\n').slice(1).flatMap(fileOf);
  const [own] = files; // a CommonJS bundle has no import.meta.url
  const file = files.find((one) => dirname(one) !== dirname(own!));
  return file === undefined ? null : relative(process.cwd(), file);
}

function fileOf(line: string): string[] {
  if (line.includes('node:')) return [];
  const [, path] = /\(?((?:file:\/\/)?\/[^()]*?|[A-Za-z]:\\[^()]*?)(?::\d+){1,2}\)?$/.exec(line) ?? [];
  if (path === undefined) return [];
  return [path.startsWith('file://') ? fileURLToPath(path) : path];
}
