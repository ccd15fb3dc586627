// All pages of the console.

import { auditPage } from './audit.ts';
import { backfillPage } from './cron-backfill.ts';
import { jobPage } from './cron-job.ts';
import { bulkPage } from './bulk.ts';
import { bulkActPage } from './bulk-act.ts';
import { newBulkPage } from './bulk-new.ts';
import { cronPage } from './cron.ts';
import { failuresPage } from './failures.ts';
import { fleetPage } from './fleet.ts';
import { messagePage } from './message.ts';
import { messagesPage } from './messages.ts';
import { nowPage } from './now.ts';
import type { Page } from './page.ts';
import { personPage } from './person.ts';
import { queuePage } from './queue.ts';
import { queuesPage } from './queues.ts';
import { runningPage } from './running.ts';
import { selectedPage } from './selected.ts';
import { suppressionsPage } from './suppressions.ts';

export const pages: readonly Page[] = [
  nowPage,
  messagesPage,
  selectedPage,
  messagePage,
  failuresPage,
  bulkPage,
  newBulkPage,
  bulkActPage,
  runningPage,
  queuesPage,
  queuePage,
  cronPage,
  jobPage,
  backfillPage,
  suppressionsPage,
  personPage,
  fleetPage,
  auditPage,
];
