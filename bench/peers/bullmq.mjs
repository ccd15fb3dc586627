// BullMQ on a Redis of its own.

import { Redis } from 'ioredis';
import { bullmqPart } from './bullmq-part.mjs';
import { serve } from './serve.mjs';

const open = () => new Redis(Number(process.env.REDIS_PORT), '127.0.0.1', { maxRetriesPerRequest: null });

serve(await bullmqPart({ open, concurrency: 100 }));
