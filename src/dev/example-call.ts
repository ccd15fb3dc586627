// A call of the application's first action, as a command: taken from the OpenAPI document of its web process.

import { sampleOf, type Sample, type Schema } from './sample.ts';

type Operation = {
  readonly security?: readonly unknown[];
  readonly parameters?: readonly { readonly name: string; readonly in: string; readonly schema: Schema }[];
  readonly requestBody?: { readonly content: { readonly 'application/json': { readonly schema: Schema } } };
};

export type Document = {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
};

/**
 * @param web where web listens, such as `http://localhost:3000`
 * @returns undefined when no action changes anything
 */
export function exampleCall(document: Document, web: string, apiKey: string): string | undefined {
  const calls = Object.entries(document.paths)
    .flatMap(([path, methods]) => (methods['post'] ? [{ path, operation: methods['post'] }] : []))
    .map(({ path, operation }) => ({ operation, body: bodyOf(operation), at: filled(path, operation) }));
  // A route of the application's own reads better than /actions/NAME.
  const best = [...calls].sort((a, b) => rank(b.body, b.at.value) - rank(a.body, a.at.value))[0];
  if (best === undefined) return undefined;
  return [
    `curl ${quoted(`${web}${String(best.at.value)}`)}`,
    ...(best.operation.security ? [`-H ${quoted(`authorization: Bearer ${apiKey}`)}`] : []),
    `-H 'content-type: application/json'`,
    `-d ${quoted(JSON.stringify(best.body.value))}`,
  ].join(' \\\n    ');
}

const rank = (body: Sample, path: unknown): number =>
  (body.isCertain ? 2 : 0) + (String(path).startsWith('/actions/') ? 0 : 1);

function bodyOf(operation: Operation): Sample {
  const schema = operation.requestBody?.content['application/json'].schema;
  return schema ? sampleOf(schema) : { value: {}, isCertain: true };
}

function filled(path: string, { parameters = [] }: Operation): Sample {
  const value = path.replaceAll(/\{([^}]+)\}/g, (_, name: string) => {
    const schema = parameters.find((one) => one.in === 'path' && one.name === name)?.schema ?? {};
    return encodeURIComponent(String(sampleOf(schema).value));
  });
  return { value, isCertain: !value.includes('{') };
}

/** For a POSIX shell. */
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
