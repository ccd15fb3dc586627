// The role *scheduler*: ticks of cron become messages.

import { schedulerPart, withManifest } from '../cron/part.ts';
import { manifestOf } from '../cron/manifest.ts';
import { loadApp } from '../define/load.ts';
import { publishZeroes } from '../metrics/zeroes.ts';
import { labelsOf } from './labels.ts';
import type { Role } from './role.ts';

export const schedulerRole: Role = async (host) => {
  const app = await loadApp(host.config.app);
  publishZeroes(host.metrics, labelsOf(app, host.config.emailProvider));
  for (const notice of app.cron.notices) host.log.warn({ notice }, 'a cron job may not do what was meant');
  return { life: app, part: withManifest(host, manifestOf(app), false, schedulerPart(host)) };
};
