// When to stop: Ctrl-C, SIGTERM, or the npm that started us is gone. npm dies of a signal without forwarding it (FACTS 24).

import { existsSync, readFileSync } from 'node:fs';

export type Interrupt = {
  readonly signal: AbortSignal;
  /** Called on a second signal, when the user does not want to wait. */
  onHurry(body: () => void): void;
  end(): void;
};

/** npm forwards Ctrl-C although the terminal sends it to us too; that echo is no second signal. */
const echoMs = 2_000;

export function onInterrupt(): Interrupt {
  const controller = new AbortController();
  const parents = ancestors();
  let since = 0;
  let hurry = (): void => undefined;
  const stop = (): void => {
    if (!controller.signal.aborted) since = performance.now();
    else if (performance.now() - since > echoMs) hurry();
    controller.abort(new Error('interrupted'));
  };
  const orphaned = setInterval(() => {
    if (process.env['npm_lifecycle_event'] !== undefined && ancestors() !== parents) stop();
  }, 500);
  orphaned.unref();
  process.on('SIGINT', stop).on('SIGTERM', stop).on('SIGHUP', stop);
  return {
    signal: controller.signal,
    onHurry: (body) => void (hurry = body),
    end() {
      clearInterval(orphaned);
      process.off('SIGINT', stop).off('SIGTERM', stop).off('SIGHUP', stop);
    },
  };
}

/** Our parent and its parent: between npm and us there may be a shell, which stays when npm is killed. */
function ancestors(): string {
  const status = `/proc/${process.ppid}/status`;
  const above = existsSync(status) ? /^PPid:\s+(\d+)/m.exec(readFileSync(status, 'utf8'))?.[1] : undefined;
  return `${process.ppid} ${above ?? ''}`;
}
