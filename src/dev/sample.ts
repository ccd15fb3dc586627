// A value that fits a JSON schema: for the command that a newcomer copies from the first screen.

export type Schema = { readonly [keyword: string]: unknown };

export type Sample = {
  readonly value: unknown;
  /** False: a rule of the schema, such as a pattern, could not be followed. */
  readonly isCertain: boolean;
};

const formats: Readonly<Record<string, string>> = {
  email: 'ann@customers.example',
  uuid: '0193e7a0-1b2c-7d3e-8f4a-5b6c7d8e9f01',
  uri: 'https://shop.example/',
  'date-time': '2030-01-01T12:00:00Z',
  date: '2030-01-01',
  time: '12:00:00',
  duration: 'PT5M',
  ipv4: '192.0.2.1',
  ipv6: '2001:db8::1',
};

/** A string whose schema does not say what it holds, by the name of its property. */
const names: readonly (readonly [RegExp, string])[] = [
  [/e-?mail/i, 'email'],
  [/(?:^|_)ur[il]$|Ur[il]$/, 'uri'],
  [/(?:^|_)(?:uu)?id$|I[dD]$/, 'uuid'],
];

/**
 * @param schema as zod's `toJSONSchema` writes it (JSON Schema 2020-12)
 * @param name of the property that holds the value
 */
export function sampleOf(schema: Schema, name = ''): Sample {
  for (const keyword of ['const', 'default'])
    if (keyword in schema) return { value: schema[keyword], isCertain: true };
  for (const keyword of ['examples', 'enum', 'anyOf', 'oneOf'] as const) {
    const [first] = list(schema[keyword]);
    if (first === undefined) continue;
    return keyword.endsWith('Of') ? sampleOf(first as Schema, name) : { value: first, isCertain: true };
  }
  switch (schema['type']) {
    case 'object':
      return object(schema);
    case 'array':
      return array(schema);
    case 'string':
      return string(schema, name);
    case 'number':
    case 'integer':
      return number(schema);
    case 'boolean':
      return { value: true, isCertain: true };
    case 'null':
      return { value: null, isCertain: true };
    default:
      return { value: {}, isCertain: Object.keys(schema).length === 0 };
  }
}

const list = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : []);
const limit = (schema: Schema, keyword: string): number | undefined =>
  typeof schema[keyword] === 'number' ? schema[keyword] : undefined;

/** Only what is required. */
function object(schema: Schema): Sample {
  const properties = (schema['properties'] ?? {}) as Readonly<Record<string, Schema>>;
  const parts = list(schema['required']).map((required) => {
    const key = String(required);
    return { key, ...sampleOf(properties[key] ?? {}, key) };
  });
  return {
    value: Object.fromEntries(parts.map(({ key, value }) => [key, value])),
    isCertain: parts.every(({ isCertain }) => isCertain),
  };
}

function array(schema: Schema): Sample {
  const count = Math.min(limit(schema, 'minItems') ?? 0, 10);
  const tuple = list(schema['prefixItems']) as Schema[];
  const items = (schema['items'] ?? {}) as Schema;
  const parts = Array.from({ length: Math.max(count, tuple.length) }, (_, i) => sampleOf(tuple[i] ?? items));
  return { value: parts.map(({ value }) => value), isCertain: parts.every(({ isCertain }) => isCertain) };
}

function string(schema: Schema, name: string): Sample {
  const told = typeof schema['format'] === 'string' ? schema['format'] : undefined;
  const known = formats[told ?? names.find(([pattern]) => pattern.test(name))?.[1] ?? ''];
  if (known !== undefined) return { value: known, isCertain: true };
  const [shortest, longest] = [limit(schema, 'minLength') ?? 0, limit(schema, 'maxLength') ?? 1_000];
  const value = 'Ann'.padEnd(shortest, 'x').slice(0, longest);
  return { value, isCertain: !('format' in schema) && !('pattern' in schema) };
}

function number(schema: Schema): Sample {
  const step = limit(schema, 'multipleOf') ?? 1;
  const above = limit(schema, 'exclusiveMinimum');
  const lowest = Math.max(
    limit(schema, 'minimum') ?? -Infinity,
    above === undefined ? -Infinity : above + step,
  );
  const wanted = Math.max(lowest, step);
  const value = Math.ceil(wanted / step) * step;
  const highest = Math.min(
    limit(schema, 'maximum') ?? Infinity,
    limit(schema, 'exclusiveMaximum') ?? Infinity,
  );
  if (value <= highest) return { value, isCertain: true };
  return {
    value: highest,
    isCertain: limit(schema, 'exclusiveMaximum') === undefined && highest % step === 0,
  };
}
