// The settings in force: one value where all processes have the same, and each value with its processes where they differ.

import type { SettingsInForce } from '../config/in-force.ts';
import type { ProcessSeen } from '../process/heartbeat.ts';
import { pill, shown } from './figures.ts';
import { markup, type Markup } from './markup.ts';

/** @param own those of this web process, for a fleet whose processes have not reported theirs */
export function settingsOf(processes: readonly ProcessSeen[], own: SettingsInForce): Markup {
  const known = processes.filter(
    ({ state, settings }) => state === 'alive' && Object.keys(settings).length > 0,
  );
  const about =
    known.length === 0
      ? 'Of this web process. No other has reported its own.'
      : `Of ${known.length === 1 ? 'the process that is alive' : `the ${known.length} processes that are alive`}. Secrets are not in it.`;
  const all = known.length === 0 ? [{ role: 'web', settings: own }] : known;
  const names = [...new Set([own, ...all.map(({ settings }) => settings)].flatMap(Object.keys))];
  return markup`<p class="meta">${about}</p><dl class="facts">${names.map((name) => markup`<dt>${shown(name, 80)}</dt><dd>${valuesOf(name, all)}</dd>`)}</dl>`;
}

type Of = Pick<ProcessSeen, 'role' | 'settings'>;

function valuesOf(name: string, all: readonly Of[]): Markup {
  const byValue = Map.groupBy(all, ({ settings }) => settings[name] ?? 'not known');
  const [only, ...others] = [...byValue];
  if (only !== undefined && others.length === 0) return shown(only[0], 200);
  const parts = [...byValue]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([value, its], i) => {
      const roles = [...new Set(its.map(({ role }) => role))].join(', ');
      return markup`${i > 0 ? ' · ' : ''}${shown(value, 200)} <small class="soft">(${shown(roles, 100)})</small>`;
    });
  return markup`${parts} ${pill('warn', 'differs')}`;
}
