// What `init` adds to a project: example files, lines of the Procfile and of .env.example, and scripts of package.json. Existing content stays as
// it is.

import { append, edited, newlineOf } from './edit.ts';
import { child, propertyOf, readSource, type Node, type Source } from './source.ts';
import { WaybillError } from '../errors.ts';

export type NewFile = { readonly name: string; readonly text: string };

const roles = ['web', 'relay', 'email', 'jobs', 'scheduler'];

/** Not npx: npx and npm do not forward SIGTERM, and the worker would keep running after a deploy. */
const command = 'node node_modules/waybill/dist/cli/main.js';

export const procfileLines = [
  `release: ${command} release`,
  ...roles.map((role) => `${role}: ${command} run ${role}`),
];

export const environmentLines = [
  'DATABASE_URL=postgres://user:password@localhost:5432/database',
  'WAYBILL_API_KEY=',
  'WAYBILL_ADMIN_KEY=',
  'WAYBILL_EMAIL_PROVIDER=log',
  'WAYBILL_EMAIL_FROM=',
];

export const scripts: Readonly<Record<string, string>> = {
  waybill: 'waybill',
  'waybill:release': 'waybill release',
  'waybill:run': `waybill run ${roles.join(' ')}`,
};

function imported(names: string, from: string): string {
  return `import { ${names} } from '${from}';`;
}

/** The module, an action and a job. @param ending of an import path: `.ts`, `.js` or nothing */
export function exampleFiles(module: string, ending: string): NewFile[] {
  const index = `// The application: its default export is what every process loads.

${imported('defineApp', 'waybill')}
${imported('greet', `./greet${ending}`)}
${imported('writeGreeting', `./write-greeting${ending}`)}

export default defineApp({
  actions: [greet],
  jobs: [writeGreeting],
});
`;
  const action = `${imported('z', 'zod')}
${imported('defineAction', 'waybill')}
${imported('writeGreeting', `./write-greeting${ending}`)}

/** POST /actions/greet. The email and the job exist when the transaction commits, and only then. */
export const greet = defineAction({
  name: 'greet',
  access: 'authenticated',
  args: z.strictObject({ name: z.string().min(1).max(100), email: z.email() }),
  async handler(ctx, { name, email }) {
    await ctx.email.enqueue({ to: email, subject: \`Hello, \${name}\`, text: 'A worker sent this after the commit.' });
    const { id } = await ctx.jobs.dispatch(writeGreeting, { name });
    return { id };
  },
});
`;
  const job = `${imported('z', 'zod')}
${imported('defineJob', 'waybill')}

/** Done by a worker after the commit. It may run more than once for one message: a second run must do no harm. */
export const writeGreeting = defineJob({
  name: 'write-greeting',
  payload: z.object({ name: z.string() }),
  async handler(ctx, { name }) {
    ctx.log.info({ length: name.length }, 'a greeting was written');
  },
});
`;
  return [
    { name: 'write-greeting.ts', text: job },
    { name: 'greet.ts', text: action },
    { name: module, text: index },
  ];
}

/** For a folder that already has other files with the example's names. */
export function emptyModule(module: string): NewFile {
  return {
    name: module,
    text: `// The application: its default export is what every process loads.

${imported('defineApp', 'waybill')}

export default defineApp({});
`,
  };
}

export type Added = { readonly text: string; readonly added: readonly string[] };

/** Adds, at the end, the lines whose name (before `:` or `=`) the text does not have. */
export function addLines(text: string, lines: readonly string[]): Added {
  const nameOf = (line: string): string | undefined => /^\s*(?:export\s+)?([\w.-]+)\s*[:=]/.exec(line)?.[1];
  const there = new Set(text.split('\n').map(nameOf));
  const missing = lines.filter((line) => !there.has(nameOf(line)));
  const newline = newlineOf(text);
  const gap = text === '' || text.endsWith('\n') ? '' : newline;
  const added = missing.map((line) => nameOf(line) ?? '');
  return { text: missing.length === 0 ? text : `${text}${gap}${missing.join(newline)}${newline}`, added };
}

/** What a new project has beside its package.json. */
export const newProjectFiles: readonly NewFile[] = [
  {
    name: 'tsconfig.json',
    text: `${JSON.stringify(
      {
        compilerOptions: {
          target: 'ES2023',
          module: 'NodeNext',
          strict: true,
          noEmit: true,
          allowImportingTsExtensions: true,
          erasableSyntaxOnly: true,
          verbatimModuleSyntax: true,
        },
        include: ['app'],
      },
      null,
      2,
    )}\n`,
  },
  { name: '.gitignore', text: 'node_modules/\n.env\n' },
];

/** The package.json of a new project. @param name of the project's folder */
export function newManifest(name: string): string {
  const named =
    name
      .toLowerCase()
      .replaceAll(/[^a-z0-9._-]+/g, '-')
      .replace(/^[._-]+/, '') || 'app';
  return `${JSON.stringify({ name: named, private: true, type: 'module', scripts: { dev: 'waybill dev', ...scripts } }, null, 2)}\n`;
}

/**
 * Adds the scripts that package.json lacks; everything else stays the same to the character.
 * @throws WaybillError `invalid_package_json`
 */
export function addScripts(text: string): Added {
  const given = objectIn(text);
  const named = given['scripts'] ?? {};
  if (typeof named !== 'object' || Array.isArray(named)) refuse('its scripts are no object');
  const missing = Object.entries(scripts).filter(([name]) => !Object.hasOwn(named, name));
  const added = missing.map(([name]) => name);
  if (missing.length === 0) return { text, added };
  if (Object.keys(given).length === 0) return { text: `${JSON.stringify({ scripts }, null, 2)}\n`, added };
  const unit = /\n([ \t]+)"/.exec(text)?.[1] ?? '  ';
  const newline = newlineOf(text);
  const pairs = missing.map(([name, script]) => `${JSON.stringify(name)}: ${JSON.stringify(script)}`);
  const inner = `${newline}${pairs.map((pair) => `${unit}${unit}${pair}`).join(`,${newline}`)}${newline}${unit}`;
  const { source, root } = jsonSource(text);
  const there = child(propertyOf(root, 'scripts'), 'value');
  if (there === undefined)
    return { text: unwrapped(source, append(source, root, `"scripts": {${inner}}`)), added };
  if (Object.keys(named).length === 0)
    return { text: unwrapped(source, [{ at: there.start + 1, insert: inner }]), added };
  return {
    text: pairs.reduce((now, pair) => {
      const { source: next, root: object } = jsonSource(now);
      return unwrapped(next, append(next, child(propertyOf(object, 'scripts'), 'value')!, pair));
    }, text),
    added,
  };
}

function objectIn(text: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    return refuse((error as Error).message);
  }
  if (typeof value === 'object' && value !== null && !Array.isArray(value))
    return value as Record<string, unknown>;
  return refuse('it holds no object');
}

/** JSON as an expression in parentheses, so offsets are one higher. */
function jsonSource(text: string): { source: Source; root: Node } {
  const source = readSource('package.json', `(${text})`);
  const root = child(child(source.body[0], 'expression'), 'expression');
  return root ? { source, root } : refuse('it holds no object');
}

function unwrapped(source: Source, edits: Parameters<typeof edited>[1]): string {
  return edited(source.text, edits).slice(1, -1);
}

function refuse(why: string): never {
  throw new WaybillError('invalid_package_json', `package.json cannot be read: ${why}`);
}
