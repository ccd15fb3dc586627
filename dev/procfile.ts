// The Procfile: its processes, and how each is started. No shell is used, because shells swallow SIGTERM (FACTS 24).

import { readFileSync } from 'node:fs';

export type ProcessLine = {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
};

/** @throws with the line's number when a line is not `name: command` or needs a shell */
export function readProcfile(path: string): ProcessLine[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .map((text, index) => ({ text: text.trim(), place: `${path}:${index + 1}` }))
    .filter(({ text }) => text !== '' && !text.startsWith('#'))
    .map(({ text, place }) => processLine(text, place));
}

function processLine(text: string, place: string): ProcessLine {
  const [, name, line] = /^([A-Za-z0-9_-]+):\s*(\S.*)$/.exec(text) ?? [];
  if (name === undefined || line === undefined) throw new Error(`${place}: a line is "name: command"`);
  if (/["'$|&;<>`\\]/.test(line)) throw new Error(`${place}: only plain words, no shell: ${line}`);
  const [command = '', ...args] = line.split(/\s+/);
  // The Node that runs this process, not the first one in PATH.
  return { name, command: command === 'node' ? process.execPath : command, args };
}
