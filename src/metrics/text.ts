// Prometheus's text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).

export type Sample = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
};

export type Described = { readonly name: string; readonly help: string; readonly type: unknown };

/**
 * The samples under their metrics. A histogram's are called `name_bucket`, `name_sum` and `name_count`. A sample that is not valid in the format is
 * left out: one row edited by hand must not make the whole scrape unreadable.
 */
export function counterText(described: readonly Described[], samples: readonly Sample[]): string {
  const byName = Map.groupBy(samples.filter(isSample), ({ name }) => name);
  return described
    .map(({ name, help, type }) => {
      const parts = type === 'histogram' ? [`${name}_bucket`, `${name}_count`, `${name}_sum`] : [name];
      const its = parts.flatMap((part) => inOrder(byName.get(part) ?? []));
      return `# HELP ${name} ${help}\n# TYPE ${name} ${String(type)}\n${its.map(line).join('')}`;
    })
    .join('');
}

export function gaugeText(
  name: string,
  help: string,
  samples: readonly Omit<Sample, 'name'>[],
  type = 'gauge',
): string {
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${samples.map((sample) => line({ name, ...sample })).join('')}`;
}

/** A text of Waybill's metrics, and the database that they are of; null: the fleet has one. */
export type TextOf = { readonly database: string | null; readonly text: string };

/**
 * The texts of several databases as one: each sample of Waybill's gets the label `database`, and the samples of a metric stand together, as the format
 * asks. Where there is one database, the text stays as it is.
 */
export function joined(texts: readonly TextOf[]): string {
  if (texts.length === 1 && texts[0]!.database === null) return texts[0]!.text;
  const metrics = new Map<string, { head: readonly string[]; samples: string[] }>();
  for (const { database, text } of texts)
    for (const block of text.split(/^(?=# HELP )/m)) {
      const [help = '', type = '', ...samples] = block.split('\n').filter((row) => row !== '');
      const metric = metrics.get(help) ?? { head: [help, type], samples: [] };
      metrics.set(help, metric);
      metric.samples.push(...samples.map((sample) => withDatabase(sample, database)));
    }
  return [...metrics.values()].flatMap(({ head, samples }) => [...head, ...samples, '']).join('\n');
}

/** Figures of the process itself, such as its memory, are of no database. */
function withDatabase(sample: string, database: string | null): string {
  const [, name = '', labels, rest = ''] = /^(waybill_\w+)(?:\{(.*)\})?( .*)$/.exec(sample) ?? [];
  if (name === '' || database === null) return sample;
  return `${name}{database="${database}"${labels ? `,${labels}` : ''}}${rest}`;
}

/** Puts the buckets of a series together, in the order of their edges. */
function inOrder(samples: readonly Sample[]): Sample[] {
  return samples
    .map((sample) => ({ sample, edge: edgeOf(sample), series: seriesOf(sample) }))
    .toSorted((a, b) => (a.series === b.series ? a.edge - b.edge : a.series < b.series ? -1 : 1))
    .map(({ sample }) => sample);
}

function seriesOf({ labels }: Sample): string {
  return JSON.stringify({ ...labels, le: undefined });
}

function edgeOf({ labels: { le } }: Sample): number {
  return le === '+Inf' ? Number.POSITIVE_INFINITY : Number(le ?? 0);
}

function isSample({ labels, value }: Sample): boolean {
  if (typeof labels !== 'object' || labels === null || !Number.isFinite(value)) return false;
  return Object.entries(labels).every(
    ([name, text]) => /^[a-z_]\w*$/i.test(name) && ['string', 'number'].includes(typeof text),
  );
}

function line({ name, labels, value }: Sample): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escape(String(text))}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`;
}

function escape(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
