import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

// What a process holds in memory from its start: the packages that its modules import statically, directly or not. Those that only some
// processes need, or only for some messages, are loaded when they are needed.

const src = fileURLToPath(new URL('../../src/', import.meta.url));

/** Imports of values: a type is gone before the module runs, and `import()` waits until it is called. */
function importsOf(file: string): string[] {
  const text = readFileSync(file, 'utf8').replaceAll(/^\s*\/\/.*$/gm, '');
  return [...text.matchAll(/^(?:import|export)(?! type)(?:[^;']*?\bfrom)? '([^']+)'/gm)].map(
    (match) => match[1]!,
  );
}

function packagesFrom(entry: string): Set<string> {
  const [seen, packages] = [new Set<string>(), new Set<string>()];
  const visit = (file: string): void => {
    if (seen.has(file)) return;
    seen.add(file);
    for (const target of importsOf(file))
      if (target.startsWith('.')) visit(join(dirname(file), target));
      else if (!target.startsWith('node:')) packages.add(target);
  };
  visit(join(src, entry));
  return packages;
}

const forSome = ['pg-boss', 'nodemailer', 'html-to-text', 'fastify', 'commander', '@babel/parser'];
const never = ['smtp-server', 'postal-mime', 'tsx', 'tsx/esm/api', 'tsx/cjs/api'];

describe('what a process loads at its start', () => {
  it.each([
    ['process/run.ts', []],
    ['fleet/relay.ts', []],
    ['fleet/delivery.ts', []],
    ['fleet/scheduler.ts', []],
    ['fleet/web.ts', ['fastify']],
    ['index.ts', []],
  ])('%s: of the packages that not everybody needs, %j', (entry, needed) => {
    const packages = packagesFrom(entry);
    expect(forSome.filter((name) => packages.has(name))).toEqual(needed);
    expect(never.filter((name) => packages.has(name))).toEqual([]);
  });

  it('before the bounds of the heap stand, no package at all', () => {
    expect([...packagesFrom('fleet/process.ts')]).toEqual([]);
  });

  it('is read from the sources: packages that are there are found', () => {
    expect([...packagesFrom('process/run.ts')]).toEqual(
      expect.arrayContaining(['pg', 'pino', 'prom-client']),
    );
    expect(packagesFrom('index.ts').has('zod')).toBe(true);
  });
});
