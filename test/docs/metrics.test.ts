import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { createMetrics } from '../../src/metrics/catalogue.ts';
import { gaugeFacts } from '../../src/metrics/gauges.ts';
import { deliveryOutcomes, emailOutcomes, tickResults } from '../../src/metrics/initial.ts';

// docs/metrics.md is the catalogue for users: every metric of web's /metrics, with its type and its labels, and no other.

const page = readFileSync(new URL('../../docs/metrics.md', import.meta.url), 'utf8');
const rows = [...page.matchAll(/^\| `(waybill_\w+)` +\| (\w+) +\| (.*?) *\| (.+?) +\| (.+?) +\|$/gm)].map(
  ([, name, type, labels, meaning, when]) => ({
    name: name!,
    type: type!,
    labels: [...labels!.matchAll(/`(\w+)`/g)].map(([, label]) => label!),
    meaning: meaning!,
    when: when!,
  }),
);

const { registry, counted } = createMetrics({ version: 'x' });
const labelsOf = counted.map((metric) => metric as unknown as { name: string; labelNames: string[] });

describe('docs/metrics.md', () => {
  it('has every metric of the source and no other, with its type and its labels', async () => {
    const described = await registry.getMetricsAsJSON();
    const source = [
      ...labelsOf.map(({ name, labelNames }) => ({
        name,
        type: String(described.find((metric) => metric.name === name)!.type),
        labels: labelNames,
      })),
      ...gaugeFacts.map(({ name, type, labels }) => ({ name, type, labels: [...labels] })),
      { name: 'waybill_scrape_stale', type: 'gauge', labels: [] },
    ];
    const byName = (a: { name: string }, b: { name: string }): number => (a.name < b.name ? -1 : 1);
    const told = rows.map(({ name, type, labels }) => ({ name, type, labels }));
    expect(told.toSorted(byName)).toEqual(source.toSorted(byName));
  });

  it('says of each what it means and when to look at it', () => {
    for (const { name, meaning, when } of rows) {
      expect(meaning.length, name).toBeGreaterThan(10);
      expect(when.length, name).toBeGreaterThan(5);
    }
  });

  it('names every value of the labels that are closed sets', () => {
    const line = (name: string): string => page.split('\n').find((one) => one.startsWith(`| \`${name}\``))!;
    for (const outcome of deliveryOutcomes)
      expect(line('waybill_deliveries_total')).toContain(`\`${outcome}\``);
    for (const result of tickResults) expect(line('waybill_cron_ticks_total')).toContain(`\`${result}\``);
    const emails = page.split('\n\n').find((one) => one.startsWith('Email outcomes:'))!;
    expect([...emails.matchAll(/`(\w+)`/g)].map(([, outcome]) => outcome)).toEqual([...emailOutcomes]);
  });

  it('names the edges of the objective as the source has them', async () => {
    const metric = counted.find(
      (one) => (one as unknown as { name: string }).name === 'waybill_end_to_end_seconds',
    )!;
    const { upperBounds } = metric as unknown as { upperBounds: number[] };
    expect(page).toContain(`Edges of \`waybill_end_to_end_seconds\`: ${upperBounds.join(', ')} s.`);
  });

  it('leads to pages that are there', () => {
    for (const [, target] of page.matchAll(/\]\(([\w-]+\.\w+)\)/g))
      expect(() => readFileSync(new URL(`../../docs/${target!}`, import.meta.url))).not.toThrow();
    for (const [, path] of page.matchAll(/`((?:grafana|prometheus)\/[\w./]*)`/g))
      expect(() => readFileSync(new URL(`../../${path!}`, import.meta.url))).not.toThrow('ENOENT');
  });
});
