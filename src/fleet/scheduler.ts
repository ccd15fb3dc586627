// The role *scheduler*: turns cron ticks into messages.

import { schedulerService, withManifest } from '../cron/service.ts';
import { manifestOf } from '../cron/manifest.ts';
import { loadApp } from '../define/load.ts';
import { publishInitial } from '../metrics/initial.ts';
import { labelsOf } from './labels.ts';
import type { Role } from './role.ts';

export const schedulerRole: Role = async (host) => {
  const app = await loadApp(host.config.app, host.config.database);
  publishInitial(host.metrics, labelsOf(app, host.config.emailProviders));
  for (const notice of app.cron.notices) host.log.warn({ notice }, 'a cron job may not do what was meant');
  return { life: app, service: withManifest(host, manifestOf(app), false, schedulerService(host)) };
};
