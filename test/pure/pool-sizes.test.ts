// How the processes of a fleet share the connections of one server.

import { describe, expect, it } from 'vitest';
import { sizesOf, totalOf } from '../../src/config/connections.ts';

const roles = ['web', 'relay', 'email', 'jobs', 'scheduler'];
const asked = { poolMax: null, concurrency: 25, allowed: null };
const total = (role: string, more: object = {}): number => totalOf(sizesOf(role, { ...asked, ...more }));

describe('K3: connections of a process', () => {
  it("are few where the server has few: the Procfile's five fit into max_connections = 25, less three for superusers", () => {
    expect(roles.reduce((sum, role) => sum + total(role, { allowed: 22 }), 0)).toBeLessThanOrEqual(22);
  });

  it('are what they always were where it has a hundred', () => {
    expect(sizesOf('jobs', { ...asked, allowed: 97 })).toEqual({
      own: 8,
      planned: 3,
      actions: 0,
      handlers: 10,
      listening: 1,
    });
  });

  it.each([...roles, 'all', 'email+jobs'])(
    'are never more than WAYBILL_POOL_MAX, and all of it: %s',
    (role) => {
      const least = total(role, { allowed: 22 });
      for (const poolMax of [least, least + 1, least + 7, 40]) {
        expect(total(role, { poolMax })).toBe(poolMax);
        const sizes = sizesOf(role, { ...asked, poolMax });
        expect(sizes.own).toBeGreaterThanOrEqual(2);
      }
      expect(total(role, { poolMax: 3 })).toBe(least);
    },
  );

  it('are not more for handlers than there are slots', () => {
    expect(sizesOf('jobs', { ...asked, concurrency: 4, poolMax: 60 }).handlers).toBe(4);
    expect(sizesOf('jobs', { ...asked, concurrency: 4, allowed: 97 }).handlers).toBe(4);
  });
});
