// The progress of a request of fetch: whether it was written to its connection. fetch says it in no error. Without a connection the request is
// certainly not with the provider, whether the name is looked up, the host drops packets or the TLS handshake hangs.

import { AsyncLocalStorage } from 'node:async_hooks';
import { subscribe, unsubscribe } from 'node:diagnostics_channel';

export type Progress = {
  /** fetch has made the request, and would say when it is written. */
  begun: boolean;
  written: boolean;
};

export type ProgressWatch = {
  /** @param work makes one request with fetch */
  follow<T>(progress: Progress, work: () => Promise<T>): Promise<T>;
  close(): void;
};

/** Undici, the client below fetch, publishes these (github.com/nodejs/undici, docs/api/DiagnosticsChannel.md). */
const made = 'undici:request:create';
const written = ['undici:client:sendHeaders', 'undici:request:bodySent'] as const;

export function createProgressWatch(): ProgressWatch {
  const current = new AsyncLocalStorage<Progress>();
  const progressOf = new WeakMap<object, Progress>();
  const onMade = (event: unknown): void => {
    const progress = current.getStore();
    if (progress === undefined) return; // another request of this process
    progress.begun = true;
    progressOf.set((event as { readonly request: object }).request, progress);
  };
  const onWritten = (event: unknown): void => {
    const progress = progressOf.get((event as { readonly request: object }).request);
    if (progress !== undefined) progress.written = true;
  };
  subscribe(made, onMade);
  for (const channel of written) subscribe(channel, onWritten);
  return {
    follow: (progress, work) => current.run(progress, work),
    close() {
      unsubscribe(made, onMade);
      for (const channel of written) unsubscribe(channel, onWritten);
    },
  };
}
