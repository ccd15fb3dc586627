// The files that `make` writes: a definition and its test, for each kind. As written, they type-check and the test passes.

import type { DefinitionKind } from './definitions.ts';
import type { Naming } from './naming.ts';

/** Where the generated file imports from. */
export type Place = {
  /** `waybill` */
  readonly library: string;
  /** `waybill/testing` */
  readonly testing: string;
  /** Of an import path: `.ts`, `.js` or nothing. */
  readonly ending: string;
};

/** The event that a listener listens to. */
export type Heard = {
  readonly name: string;
  readonly variable: string;
  /** Path of its file from the application's folder, without its ending. */
  readonly file: string;
};

type Made = { readonly source: string; readonly test: string };

function imported(names: string, from: string): string {
  return `import { ${names} } from '${from}';`;
}

function madeAction({ name, file, variable }: Naming, { library, testing, ending }: Place): Made {
  return {
    source: `${imported('z', 'zod')}
${imported('defineAction', library)}

/** One transaction: what it writes through ctx.db and what it enqueues exist together, or not at all. */
export const ${variable} = defineAction({
  name: '${name}',
  access: 'authenticated',
  args: z.strictObject({ id: z.string().min(1) }),
  result: z.strictObject({ id: z.string() }),
  async handler(ctx, { id }) {
    ctx.log.info({ id }, '${name}');
    return { id };
  },
});
`,
    test: `${imported('expect, it', 'vitest')}
${imported('createMemoryOutbox', library)}
${imported('runAction', testing)}
${imported(variable, `./${file}${ending}`)}

it('${name} gives back the id', async () => {
  const outbox = createMemoryOutbox();
  expect(await runAction(${variable}, { id: 'one' }, { outbox })).toEqual({ id: 'one' });
  expect(outbox.messages).toEqual([]);
});

it('${name} refuses an empty id', async () => {
  const outbox = createMemoryOutbox();
  await expect(runAction(${variable}, { id: '' }, { outbox })).rejects.toMatchObject({ code: 'invalid_arguments' });
});
`,
  };
}

function madeEvent({ name, file, variable }: Naming, { library, ending }: Place): Made {
  return {
    source: `${imported('z', 'zod')}
${imported('defineEvent', library)}

export const ${variable} = defineEvent({
  name: '${name}',
  payload: z.object({ id: z.string().min(1) }),
});
`,
    test: `${imported('expect, it', 'vitest')}
${imported('createMemoryOutbox, createOutboxEventRecorder', library)}
${imported(variable, `./${file}${ending}`)}

it('${name} is recorded with its payload', async () => {
  const outbox = createMemoryOutbox();
  await createOutboxEventRecorder(outbox).record(${variable}, { id: 'one' });
  expect(outbox.messages).toMatchObject([{ kind: 'event', name: '${name}', payload: { id: 'one' } }]);
});

it('${name} is not recorded with an empty id', async () => {
  const events = createOutboxEventRecorder(createMemoryOutbox());
  await expect(events.record(${variable}, { id: '' })).rejects.toMatchObject({ code: 'payload_invalid' });
});
`,
  };
}

function madeJob({ name, file, variable }: Naming, { library, ending }: Place): Made {
  return {
    source: `${imported('z', 'zod')}
${imported('defineJob', library)}

/** It may run more than once for one message: a second run must do no harm. */
export const ${variable} = defineJob({
  name: '${name}',
  payload: z.object({ id: z.string().min(1) }),
  async handler(ctx, { id }) {
    ctx.log.info({ id }, '${name}');
  },
});
`,
    test: `${imported('expect, it', 'vitest')}
${imported('createMemoryOutbox, defineOutboxRegistry, drainOutbox, enqueueJob', library)}
${imported(variable, `./${file}${ending}`)}

it('${name} is delivered', async () => {
  const outbox = createMemoryOutbox();
  await enqueueJob(outbox, ${variable}, { id: 'one' });
  await drainOutbox({ outbox, registry: defineOutboxRegistry({ jobs: [${variable}] }) });
  expect(outbox.messages).toMatchObject([{ name: '${name}', status: 'delivered' }]);
});

it('${name} is not enqueued with an empty id', async () => {
  const enqueued = enqueueJob(createMemoryOutbox(), ${variable}, { id: '' });
  await expect(enqueued).rejects.toMatchObject({ code: 'payload_invalid' });
});
`,
  };
}

/** The event's payload is not known here: the test only proves that the listener receives the event, and its author adds the rest. */
function madeListener({ name, file, variable }: Naming, { library, ending }: Place, heard: Heard): Made {
  const event = heard.variable === variable ? `${heard.variable} as heard` : heard.variable;
  const local = heard.variable === variable ? 'heard' : heard.variable;
  return {
    source: `${imported('defineListener', library)}
${imported(event, `./${heard.file}${ending}`)}

/** It may run more than once for one event: a second run must do no harm. */
export const ${variable} = defineListener({
  name: '${name}',
  event: ${local},
  // the event's payload is the second parameter
  async handler(ctx) {
    ctx.log.info({ messageId: ctx.message.id }, '${name}');
  },
});
`,
    test: `${imported('expect, it', 'vitest')}
${imported('createMemoryOutbox, defineOutboxRegistry, drainOutbox', library)}
${imported(event, `./${heard.file}${ending}`)}
${imported(variable, `./${file}${ending}`)}

it('${name} hears of ${heard.name}: its own message follows the event', async () => {
  const outbox = createMemoryOutbox();
  // Give it a payload that fits, and expect 'delivered' of both.
  await outbox.enqueue([{ kind: 'event', name: ${local}.name, queue: 'events', payload: {} }]);
  const registry = defineOutboxRegistry({ events: [${local}], listeners: [${variable}] });
  await drainOutbox({ outbox, registry });
  expect(outbox.messages).toMatchObject([
    { kind: 'event', name: '${heard.name}', status: 'delivered' },
    { kind: 'listener', name: '${name}' },
  ]);
});
`,
  };
}

function madeCron({ name, file, variable }: Naming, { library, testing, ending }: Place): Made {
  return {
    source: `${imported('z', 'zod')}
${imported('defineAction, defineCron', library)}

/** What is done at each tick. */
export const ${variable} = defineAction({
  name: '${name}',
  access: 'system',
  args: z.strictObject({}),
  async handler(ctx) {
    const tick = ctx.invoker.type === 'system' ? ctx.invoker.scheduledAt : undefined;
    ctx.log.info({ tick }, '${name}');
    return { tick: tick?.toISOString() ?? null };
  },
});

/** Every night at three, UTC. */
export const ${variable}Cron = defineCron({
  jobs: [{ name: '${name}', schedule: '0 3 * * *', action: ${variable}, args: {} }],
});
`,
    test: `${imported('expect, it', 'vitest')}
${imported('createMemoryOutbox', library)}
${imported('runAction', testing)}
${imported(`${variable}, ${variable}Cron`, `./${file}${ending}`)}

it('${name} runs for its tick', async () => {
  const scheduledAt = new Date('2026-01-31T03:00:00Z');
  const options = { outbox: createMemoryOutbox(), invoker: { type: 'system', source: 'cron', scheduledAt } } as const;
  expect(await runAction(${variable}, {}, options)).toEqual({ tick: scheduledAt.toISOString() });
});

it('${name} is scheduled', () => {
  expect(${variable}Cron.jobs).toMatchObject([{ name: '${name}', schedule: '0 3 * * *', action: '${name}' }]);
});
`,
  };
}

export function madeOf(kind: DefinitionKind, naming: Naming, place: Place, heard: Heard | undefined): Made {
  if (kind === 'action') return madeAction(naming, place);
  if (kind === 'event') return madeEvent(naming, place);
  if (kind === 'job') return madeJob(naming, place);
  if (kind === 'cron') return madeCron(naming, place);
  if (heard === undefined) throw new TypeError('a listener needs an event');
  return madeListener(naming, place, heard);
}
