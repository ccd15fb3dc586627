// Prometheus's text format, version 0.0.4 (prometheus.io/docs/instrumenting/exposition_formats).

export type Sample = {
  readonly name: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly value: number;
};

export type Described = { readonly name: string; readonly help: string; readonly type: unknown };

/** The samples under the metrics they belong to; a histogram's are called `name_bucket`, `name_sum` and `name_count`. */
export function counterText(described: readonly Described[], samples: readonly Sample[]): string {
  return described
    .map(({ name, help, type }) => {
      const parts = [name, `${name}_bucket`, `${name}_sum`, `${name}_count`];
      const its = samples.filter((sample) => parts.includes(sample.name)).toSorted(byBucket);
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

/** Buckets of one series stand together, in the order of their edges. */
function byBucket(a: Sample, b: Sample): number {
  const series = (s: Sample): string => `${s.name} ${JSON.stringify({ ...s.labels, le: undefined })}`;
  if (series(a) !== series(b)) return series(a) < series(b) ? -1 : 1;
  return edge(a) - edge(b);
}

function edge(sample: Sample): number {
  return sample.labels['le'] === '+Inf' ? Number.POSITIVE_INFINITY : Number(sample.labels['le'] ?? 0);
}

function line({ name, labels, value }: Sample): string {
  const pairs = Object.entries(labels).map(([key, text]) => `${key}="${escape(String(text))}"`);
  return `${name}${pairs.length > 0 ? `{${pairs.join(',')}}` : ''} ${value}\n`;
}

function escape(text: string): string {
  return text.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n');
}
