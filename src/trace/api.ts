// OpenTelemetry's API where the application has it. It is an optional peer: a static import would end every process of an application
// without it, and under Yarn's Plug'n'Play also of one that does not declare it.

import type * as OpenTelemetry from '@opentelemetry/api';
import { loadPackage } from '../packages.ts';

export type Api = typeof OpenTelemetry;

/** Undefined where the package is not installed. All copies of it share one registry: an SDK that loaded another one is found too. */
export const api: Api | undefined = loadPackage<Api>('@opentelemetry/api');
