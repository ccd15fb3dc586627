// The address of the console with a token that signs the developer in, once, on this machine only.

import { userInfo } from 'node:os';
import { readAdminKey } from '../src/config/admin-keys.ts';
import { sealLink } from '../src/console/session.ts';
import type { Fleet } from './fleet.ts';

export function consoleLink({ api, adminKey }: Pick<Fleet, 'api' | 'adminKey'>): string {
  const [key] = readAdminKey('WAYBILL_ADMIN_KEY', adminKey, 1, () => undefined);
  return key
    ? `${api}/console/enter?token=${sealLink(key, userInfo().username, Date.now())}`
    : `${api}/console`;
}
