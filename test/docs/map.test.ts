import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';

// src/README.md is the map: every file is on it, and every import is one that it allows.

const src = fileURLToPath(new URL('../../src/', import.meta.url));
const map = readFileSync(join(src, 'README.md'), 'utf8');

type Folder = {
  readonly name: string;
  readonly imports: string[];
  readonly packages: string[];
  readonly files: string[];
};

const quoted = (text: string): string[] => [...text.matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
const filesIn = (section: string): string[] =>
  [...section.matchAll(/^- `([^`]+)`:/gm)].map((match) => match[1]!);

const [, ...sections] = map.split(/^## /m);
const folders: Folder[] = sections.slice(0, -1).map((section) => {
  const [, imports = '', packages = ''] = /^Imports: (.*); packages: (.*)\.$/m.exec(section) ?? [];
  return {
    name: quoted(section)[0]!.replace('/', ''),
    imports: quoted(imports),
    packages: quoted(packages),
    files: filesIn(section),
  };
});
const beside = filesIn(sections.at(-1)!);
const shared = [
  'ports.ts',
  'nearest.ts',
  'duration.ts',
  'errors.ts',
  'options.ts',
  'timer.ts',
  'packages.ts',
  'node-version.ts',
];

function importsOf(file: string): string[] {
  const text = readFileSync(join(src, file), 'utf8').replaceAll(/^\s*\/\/.*$/gm, '');
  return [...text.matchAll(/^(?:import|export)[^;]*?\bfrom '([^']+)'|\bimport\('([^']+)'\)/gm)].map(
    (match) => (match[1] ?? match[2])!,
  );
}

function onDisk(folder: string): string[] {
  return readdirSync(join(src, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => relative(join(src, folder), join(entry.parentPath, entry.name)))
    .toSorted();
}

/** Why the import is not allowed, or undefined. */
function objection(folder: Folder, file: string, target: string): string | undefined {
  if (!target.startsWith('.')) {
    if (target.startsWith('node:') || target === 'zod' || folder.packages.includes(target)) return undefined;
    return `${target} has its home elsewhere`;
  }
  const path = normalize(join(folder.name, dirname(file), target));
  if (shared.includes(path)) return undefined;
  const [top, ...rest] = path.split('/');
  if (top !== folder.name)
    return folder.imports.includes(top!) && rest.length > 0
      ? undefined
      : `${folder.name} may not import ${path}`;
  const above = folder.files.slice(0, folder.files.indexOf(file));
  return above.includes(rest.join('/')) ? undefined : `${path} is not above ${file}`;
}

describe('the map of src/', () => {
  it('names every folder, and folders import only what stands before them', () => {
    const names = folders.map((folder) => folder.name);
    const there = readdirSync(src, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map((entry) => entry.name);
    expect(names.toSorted()).toEqual(there.toSorted());
    for (const folder of folders)
      for (const target of folder.imports)
        expect(names.slice(0, names.indexOf(folder.name)), folder.name).toContain(target);
  });

  it('names every file beside the folders', () => {
    const there = readdirSync(src, { withFileTypes: true }).filter(
      (entry) => entry.isFile() && entry.name.endsWith('.ts'),
    );
    expect(beside.toSorted()).toEqual(there.map((entry) => entry.name).toSorted());
  });

  it.each(folders)('$name: its files and nothing else, each importing what it may', (folder) => {
    expect(folder.files.toSorted()).toEqual(onDisk(folder.name));
    const objections = folder.files.flatMap((file) =>
      importsOf(`${folder.name}/${file}`).flatMap((target) => objection(folder, file, target) ?? []),
    );
    expect(objections).toEqual([]);
  });

  it('a package has one home', () => {
    const homes = Map.groupBy(
      folders.flatMap((folder) => folder.packages.map((name) => ({ name, folder: folder.name }))),
      (one) => one.name,
    );
    for (const [name, its] of homes)
      expect(
        its.map((one) => one.folder),
        name,
      ).toHaveLength(1);
  });
});
