// The address of the console with a token that signs a developer in, once, on this machine only.

import { userInfo } from 'node:os';
import { readAdminKey } from '../config/admin-keys.ts';
import { sealLink } from './session.ts';

/**
 * @param web where web listens, such as `http://localhost:3000`
 * @param adminKey the value of WAYBILL_ADMIN_KEY
 */
export function consoleLink(web: string, adminKey: string): string {
  const [key] = readAdminKey('WAYBILL_ADMIN_KEY', adminKey, 1, () => undefined);
  return key
    ? `${web}/console/enter?token=${sealLink(key, userInfo().username, Date.now())}`
    : `${web}/console`;
}
