// The dashboards and rules of the project as tests read them.

import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../../', import.meta.url));

export type Panel = {
  readonly id: number;
  readonly type: string;
  readonly title: string;
  readonly description?: string;
  readonly datasource?: { readonly uid: string };
  readonly links?: readonly { readonly title: string; readonly url: string }[];
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number };
  readonly targets?: readonly {
    readonly expr: string;
    readonly legendFormat?: string;
    readonly datasource: { readonly uid: string };
  }[];
};

export type Dashboard = {
  readonly uid: string;
  readonly title: string;
  readonly panels: readonly Panel[];
  readonly annotations: { readonly list: readonly { readonly name: string; readonly expr: string }[] };
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] };
};

export const dashboards: readonly Dashboard[] = readdirSync(`${root}grafana/dashboards`).map(
  (file) => JSON.parse(readFileSync(`${root}grafana/dashboards/${file}`, 'utf8')) as Dashboard,
);

/** Every query of every panel. */
export const queries = dashboards.flatMap(({ title, panels }) =>
  panels.flatMap((panel) =>
    (panel.targets ?? []).map(({ expr }) => ({ where: `${title} / ${panel.title}`, expr })),
  ),
);

/** What marks deploys: usually without an answer. */
export const marks = dashboards.flatMap(({ annotations }) => annotations.list.map(({ expr }) => expr));

export const alertsText = readFileSync(`${root}prometheus/alerts.yml`, 'utf8');
export const recordingText = readFileSync(`${root}prometheus/recording.yml`, 'utf8');

export const alertNames = [...alertsText.matchAll(/- alert: (\w+)/g)].map(([, name]) => name!);
