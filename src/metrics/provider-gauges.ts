// The gauges of email providers, where several are configured: columns of the statement of all gauges.

import { waitingFor } from '../queues/providers.ts';

const perProvider = (value: string): string =>
  `(select json_agg(json_build_object('labels', json_build_object('provider', p.name), 'value', ${value}) order by p.name)
      from (select * from waybill.email_providers order by position, name limit 100) p)`;

export const providerColumns = `
    ${perProvider('(p.parked_at is not null)::int')} as provider_parked,
    ${perProvider(waitingFor('p.'))} as provider_waiting`;

export const providerFacts = [
  {
    key: 'provider_parked',
    name: 'waybill_email_provider_parked',
    help: '1 while one of several email providers is parked, and mails go by another one',
    type: 'gauge',
    labels: ['provider'],
  },
  {
    key: 'provider_waiting',
    name: 'waybill_email_provider_waiting',
    help: 'Emails that wait for a parked provider, because an earlier attempt may have arrived there',
    type: 'gauge',
    labels: ['provider'],
  },
] as const;
