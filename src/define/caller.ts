// The caller's file: for errors about what a definition holds, which would otherwise show a stack of ours and no place to go to.

import { dirname, relative } from 'node:path';
import { fileURLToPath } from 'node:url';

/** From the working directory; null when the stack does not tell, as in an application that was bundled into one file. */
export function callingFile(): string | null {
  const files = (new Error('where').stack ?? '').split('\n').slice(1).flatMap(fileOf);
  const [own] = files; // not import.meta.url, which a bundle in CommonJS does not have
  const file = files.find((one) => dirname(one) !== dirname(own!));
  return file === undefined ? null : relative(process.cwd(), file);
}

function fileOf(line: string): string[] {
  if (line.includes('node:')) return [];
  const [, path] = /\(?((?:file:\/\/)?\/[^()]*?|[A-Za-z]:\\[^()]*?)(?::\d+){1,2}\)?$/.exec(line) ?? [];
  if (path === undefined) return [];
  return [path.startsWith('file://') ? fileURLToPath(path) : path];
}
