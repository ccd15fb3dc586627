import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { definitionsOf, undeclaredEvents } from '../../src/scaffold/definitions.ts';
import { edited } from '../../src/scaffold/edit.ts';
import { inspect } from '../../src/scaffold/inspection.ts';
import { endingOf, listedIn, readModule, register, type Entry } from '../../src/scaffold/module.ts';
import { namingOf } from '../../src/scaffold/naming.ts';
import { readSource } from '../../src/scaffold/source.ts';

const job: Entry = { property: 'jobs', name: 'late', from: './late.ts' };
const imports = `import { defineApp } from 'waybill';`;
const added = `${imports}\nimport { late } from './late.ts';`;
const registered = (text: string, ...entries: Entry[]): string =>
  register('app/index.ts', text, entries.length > 0 ? entries : [job], ['nightly']);

describe('registering in the application’s module', () => {
  it.each<[string, string, string]>([
    ['one line', 'jobs: [a]', 'jobs: [a, late]'],
    ['a trailing comma on one line', 'jobs: [a, ]', 'jobs: [a, late, ]'],
    ['an empty array', 'jobs: []', 'jobs: [late]'],
    ['an empty array with a comment', 'jobs: [/* none ] yet */]', 'jobs: [/* none ] yet */ late]'],
    ['several lines', 'jobs: [\n    a,\n    b,\n  ]', 'jobs: [\n    a,\n    b,\n    late,\n  ]'],
    ['several lines without the last comma', 'jobs: [\n    a\n  ]', 'jobs: [\n    a,\n    late\n  ]'],
    [
      'comments behind elements',
      'jobs: [\n    a, // jobs: [\n    b // the last ]\n  ]',
      'jobs: [\n    a, // jobs: [\n    b, // the last ]\n    late\n  ]',
    ],
    ['a parenthesis and an assertion', 'jobs: [(a), b!] as const', 'jobs: [(a), b!, late] as const'],
    ['a quoted key', `'jobs': [a]`, `'jobs': [a, late]`],
  ])('%s', (_, before, after) => {
    const around = (list: string): string => `export default defineApp({ ${list} });\n`;
    expect(registered(`${imports}\n${around(before)}`)).toBe(`${added}\n${around(after)}`);
  });

  it.each<[string, string, string]>([
    ['no property yet', 'defineApp({ events: [e] })', 'defineApp({ events: [e], jobs: [late] })'],
    ['no property at all', 'defineApp({})', 'defineApp({ jobs: [late] })'],
    [
      'properties on lines of their own',
      'defineApp({\n  events: [e], // defineApp({})\n  setup() {},\n})',
      'defineApp({\n  events: [e], // defineApp({})\n  setup() {},\n  jobs: [late],\n})',
    ],
    [
      'satisfies',
      'defineApp({ jobs: [a] } satisfies Options)',
      'defineApp({ jobs: [a, late] } satisfies Options)',
    ],
    [
      'satisfies around',
      'defineApp({ jobs: [a] }) satisfies App',
      'defineApp({ jobs: [a, late] }) satisfies App',
    ],
    ['a type argument', 'defineApp<X>({ jobs: [a] })', 'defineApp<X>({ jobs: [a, late] })'],
  ])('%s', (_, before, after) => {
    expect(registered(`${imports}\nexport default ${before};\n`)).toBe(
      `${added}\nexport default ${after};\n`,
    );
  });

  it('lists in a registry as it does in an application, except cron', () => {
    const text = `import { defineOutboxRegistry } from 'waybill';\nexport default defineOutboxRegistry({ jobs: [] });\n`;
    expect(registered(text)).toContain('defineOutboxRegistry({ jobs: [late] })');
    expect(() => registered(text, { property: 'cron', name: 'tick', from: './tick.ts' })).toThrow(
      /defineOutboxRegistry takes no cron: make the application with defineApp/,
    );
  });

  it('finds defineApp under another name, and not in comments, texts and functions of others', () => {
    const text = `// defineApp({ jobs: [] })
import { defineApp as app } from "waybill" // defineApp
/* import { x } from 'y'; defineApp({ */
const words = 'defineApp({ jobs: [ ] })'
const own = { defineApp: (x: unknown) => x }
own.defineApp({ jobs: [words] })
export default app({ jobs: [a] })
`;
    expect(registered(text)).toBe(
      text
        .replace(`" // defineApp\n`, `" // defineApp\nimport { late } from "./late.ts"\n`)
        .replace('app({ jobs: [a] })', 'app({ jobs: [a, late] })'),
    );
  });

  it('finds it through its whole module, and options and arrays in constants', () => {
    const text = `import * as w from 'waybill';\nconst jobs = [a];\nconst options = { jobs };\nexport default w.defineApp(options);\n`;
    expect(registered(text)).toContain('const jobs = [a, late];');
  });

  it('keeps line ends of Windows', () => {
    const text = `${imports}\nexport default defineApp({\n  jobs: [\n    a,\n  ],\n});\n`.replaceAll(
      '\n',
      '\r\n',
    );
    const made = registered(text);
    expect(made.replaceAll('\r\n', '')).not.toContain('\n');
    expect(made).toContain('    a,\r\n    late,\r\n');
  });

  it('does nothing the second time', () => {
    const once = registered(`${imports}\nexport default defineApp({ jobs: [a] });\n`);
    expect(registered(once)).toBe(once);
  });

  it('takes another name for what is imported when the module has that name', () => {
    const made = registered(`${imports}\nconst late = 1;\nexport default defineApp({});\n`);
    expect(made).toContain(`import { late as late2 } from './late.ts';`);
    expect(made).toContain('jobs: [late2]');
  });

  it('puts a second name into the import that is there, never into one of types', () => {
    const text = `${imports}\nimport { early } from './late.ts';\nexport default defineApp({ jobs: [early] });\n`;
    expect(registered(text)).toContain(`import { early, late } from './late.ts';`);
    const types = `${imports}\nimport type { late } from './late.ts';\nexport default defineApp({});\n`;
    expect(registered(types)).toContain(`import { late as late2 } from './late.ts';`);
  });

  it('lists one more and loses no character, however the array is laid out', () => {
    const gap = fc.constantFrom('', ' ', '\n', '\n    ', ' /* ], */ ', ' // ], [\n', '\r\n\t');
    const layout = fc.record({
      gaps: fc.array(fc.tuple(gap, gap), { maxLength: 5 }),
      comma: fc.boolean(),
      last: gap,
    });
    fc.assert(
      fc.property(layout, ({ gaps, comma, last }) => {
        const elements = gaps.map(([before, after], i) => `${before}a${i}${after}`).join(',');
        const list = `[${elements}${comma && gaps.length > 0 ? ',' : ''}${last}]`;
        const text = `${imports}\nexport default defineApp({ jobs: ${list} });\n`;
        const made = registered(text);
        const names = listedIn(readModule('x.ts', made), 'jobs').map(({ name }) => name);
        expect(names).toEqual([...gaps.map((_, i) => `a${i}`), 'late']);
        let at = 0; // every character of the old text is in the new one, in its order
        for (const character of text) {
          at = made.indexOf(character, at) + 1;
          expect(at, JSON.stringify(made)).toBeGreaterThan(0);
        }
      }),
    );
  });

  const tick: Entry = { property: 'cron', name: 'tick', from: './tick.ts' };
  it.each<[string, string, string]>([
    ['none', '{}', '{ cron: [tick] }'],
    ['several', '{ cron: [a] }', '{ cron: [a, tick] }'],
    ['one that is imported', '{ cron: nightly }', '{ cron: [nightly, tick] }'],
    ['one under the name of the property', '{ cron }', '{ cron: [cron, tick] }'],
    ['one made there', '{ cron: defineCron({ jobs: [] }) }', '{ cron: [defineCron({ jobs: [] }), tick] }'],
  ])('cron: %s', (_, before, after) => {
    const name = before === '{ cron }' ? 'nightly as cron' : 'nightly';
    const head = `import { defineApp, defineCron } from 'waybill';\nimport { ${name} } from './nightly.ts';\n`;
    const made = registered(`${head}export default defineApp(${before});\n`, tick);
    expect(made).toContain(`export default defineApp(${after});`);
  });

  it.each<[string, string, RegExp]>([
    ['no call', `import { defineApp } from 'waybill';\n// defineApp({})\n`, /does not call defineApp/],
    [
      'another defineApp',
      `const defineApp = (x: object) => x;\nexport default defineApp({});`,
      /does not call/,
    ],
    ['two calls', `${imports}\ndefineApp({});\ndefineApp({});`, /more than once/],
    ['no options', `${imports}\ndefineApp();`, /object literal/],
    ['a call that makes the options', `${imports}\ndefineApp(options());`, /object literal/],
    ['a spread object', `${imports}\ndefineApp({ ...base });`, /spread object/],
    ['a spread array', `${imports}\ndefineApp({ jobs: [...base] });`, /jobs has a spread/],
    [
      'an array from elsewhere',
      `${imports}\nimport { jobs } from './jobs.ts';\ndefineApp({ jobs });`,
      /not an array literal/,
    ],
    ['a hole', `${imports}\ndefineApp({ jobs: [a,,b] });`, /spread/],
  ])('refuses %s, and says what to add', (_, text, why) => {
    const refused = (): string => registered(text);
    expect(refused).toThrow(why);
    expect(refused).toThrow(`import { late } from './late.ts';\n  in defineApp: jobs: [ …, late]`);
    expect(refused).toThrow(expect.objectContaining({ code: 'app_not_understood' }));
  });

  it('refuses what is no TypeScript, with its place', () => {
    expect(() => registered('export default defineApp({')).toThrow(/app\/index\.ts: .*\(1:26\)/);
  });

  it.each([
    [`import { a } from './a.ts';`, '.ts'],
    [`import { a } from './a.js';`, '.js'],
    [`import { a } from './a';`, ''],
    ['', '.js'],
  ])('ends paths of neighbours as the module does: %s', (line, ending) => {
    const module = readModule('x.ts', `${imports}\n${line}\nexport default defineApp({});`);
    expect(endingOf(module, '.js')).toBe(ending);
  });
});

describe('definitions', () => {
  it('finds them with names, constants and lines, wherever they stand', () => {
    const source = readSource(
      'a.ts',
      `import { defineJob as dj, defineEvent, defineCron } from 'waybill';
// defineJob({ name: 'not' })
export const a = dj({ name: 'a', handler });
const b = defineEvent({ name: \`b\`, payload } satisfies X);
const name = 'c';
export default dj({ name });
export const d = defineCron({ jobs: [{ name: 'd1' }, { name: 'd2' }] });
function make(given: string) { return dj({ name: given }); }
const e = defineEvent({ name: 'e' }); export { e };
`,
    );
    const found = definitionsOf(source).map(({ kind, names, variable, exported, line }) => [
      kind,
      names.join(),
      variable,
      exported,
      line,
    ]);
    expect(found).toEqual([
      ['job', 'a', 'a', true, 3],
      ['event', 'b', 'b', false, 4],
      ['job', 'c', null, false, 6],
      ['cron', 'd1,d2', 'd', true, 7],
      ['job', '', null, false, 8],
      ['event', 'e', 'e', true, 9],
    ]);
  });
});

describe('what is not registered, when the application does not load', () => {
  const inspected = (text: string, other: string) => {
    const module = readModule('app/index.ts', text);
    const sources = [module.source, readSource('app/other.ts', other)];
    return inspect({ file: 'app/index.ts', sources, module, app: null, pathTo: () => './other.js' });
  };
  const other = `import { defineJob } from 'waybill';\nexport const a = defineJob({ name: computed });\nexport const b = defineJob({ name: 'b' });\n`;

  it('is what the module does not list, under whatever name it comes in', () => {
    const text = `import { defineApp } from 'waybill';\nimport { a as first } from './other.ts';\nexport default defineApp({ jobs: [first] });\n`;
    expect(inspected(text, other)).toMatchObject([
      {
        finding: { code: 'definition_unregistered', message: 'job b is defined but not registered', line: 3 },
        repair: { entry: { property: 'jobs', name: 'b', from: './other.js' } },
      },
    ]);
  });

  it('may be a constant of the module itself, which needs no import', () => {
    const text = `import { defineApp, defineJob } from 'waybill';\nconst own = defineJob({ name: 'own' });\nexport default defineApp({});\n`;
    const [found] = inspected(text, '');
    expect(found?.repair).toEqual({ entry: { property: 'jobs', name: 'own', from: null } });
    const mended = registered(text, { property: 'jobs', name: 'own', from: null });
    expect(mended).toBe(text.replace('{}', '{ jobs: [own] }'));
    expect(inspected(mended, '')).toEqual([]);
  });

  it('is nothing of which nobody can tell', () => {
    const text = `import { defineApp, defineJob } from 'waybill';\nexport default defineApp({ jobs: [defineJob({ name: 'x' })] });\n`;
    expect(
      inspected(
        text,
        `import { defineJob } from 'waybill';\nexport const make = (name: string) => defineJob({ name });\n`,
      ),
    ).toEqual([]);
  });
});

describe('events that are recorded and not declared', () => {
  const action = (options: string): string =>
    `import { defineAction } from 'waybill';\nexport const a = defineAction({ name: 'a', ${options} });\n`;
  const fixed = (text: string): string =>
    edited(
      text,
      undeclaredEvents(readSource('a.ts', text)).flatMap(({ edits }) => edits ?? []),
    );

  it.each<[string, string, string]>([
    [
      'no emits',
      'async handler(ctx) { await ctx.events.record(placed, {}); }',
      'emits: [placed], async handler(ctx) { await ctx.events.record(placed, {}); }',
    ],
    [
      'some of them',
      'emits: [one], handler: async (c) => { await c.events.recordMany(two, []); await c.events.record(one, {}); }',
      'emits: [one, two], handler: async (c) => { await c.events.recordMany(two, []); await c.events.record(one, {}); }',
    ],
    [
      'several, in a nested function, twice',
      'emits: [], async handler(ctx) { const f = () => ctx.events.record(x, {}); await ctx.events.record(y, {}); await ctx.events.record(x, {}); }',
      'emits: [x, y], async handler(ctx) { const f = () => ctx.events.record(x, {}); await ctx.events.record(y, {}); await ctx.events.record(x, {}); }',
    ],
    [
      'a context taken apart',
      'async handler({ events: ev }) { await ev.record(x, {}); }',
      'emits: [x], async handler({ events: ev }) { await ev.record(x, {}); }',
    ],
  ])('%s', (_, before, after) => {
    expect(fixed(action(before))).toBe(action(after));
    expect(undeclaredEvents(readSource('a.ts', action(after)))).toEqual([]);
  });

  it('is silent about comments, other recorders, and what is declared', () => {
    const text = action(
      'emits: [x], async handler(ctx) { /* ctx.events.record(y, {}) */ await ctx.events.record(x, {}); await own.events.record(z, {}); tape.record(q); }',
    );
    expect(undeclaredEvents(readSource('a.ts', text))).toEqual([]);
  });

  it('finds it, and edits nothing, when emits is no literal', () => {
    const text = action('emits: [...all], async handler(ctx) { await ctx.events.record(x, {}); }');
    expect(undeclaredEvents(readSource('a.ts', text))).toMatchObject([
      { action: 'a', event: 'x', line: 2, edits: null },
    ]);
  });
});

describe('names', () => {
  it.each([
    ['orders.place', 'orders-place', 'ordersPlace'],
    ['OrderPlaced', 'order-placed', 'orderPlaced'],
    ['send_mail/v2', 'send-mail-v2', 'sendMailV2'],
    ['delete', 'delete', 'deleteJob'],
  ])('%s', (name, file, variable) => {
    expect(namingOf('job', name)).toEqual({ name, file, variable });
  });

  it.each([
    '',
    '.',
    '../x',
    '/etc/x',
    'a..b',
    'a b',
    '2fa',
    'ü',
    "a'b",
    'a\n',
    'a'.repeat(101),
    '__proto__',
    '-x',
  ])('refuses %j', (name) => {
    expect(() => namingOf('job', name)).toThrow(expect.objectContaining({ code: 'invalid_name_to_make' }));
  });
});
