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
