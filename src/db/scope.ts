// A scope: the part of a transaction that one function may use. It is the whole transaction or a nested one (a savepoint). A connection runs one
// statement at a time, and savepoints nest; so each scope runs its work in sequence, in the order of the calls. A nested scope counts as one piece of
// work: calls on the outer scope wait until it ends.
//
// Calls inside the function of a nested scope belong to that scope, whichever handle they use. Otherwise they would wait for the function that awaits
// them.

import { AsyncLocalStorage } from 'node:async_hooks';
import { WaybillError } from '../errors.ts';
import type { Transaction } from './transaction.ts';

/** The innermost nested scope whose function runs here. */
const current = new AsyncLocalStorage<Scope>();

const ignore = (): void => undefined;

export class Scope {
  readonly tx: Transaction;
  readonly #parent: Scope | undefined;
  readonly #waiting: (() => void)[] = [];
  /** Promises given to callers that have not settled. */
  readonly #pending = new Set<Promise<unknown>>();
  #busy = false;
  #ended = false;
  #lost: string | undefined = undefined;
  #abandon: (() => void) | undefined = undefined;
  #child: Scope | undefined = undefined;
  /** Resolves when the last statement sent by this scope was answered. */
  #sent: Promise<unknown> = Promise.resolve();

  constructor(tx: Transaction, parent?: Scope) {
    this.tx = tx;
    this.#parent = parent;
  }

  /** Counts as work that the function must await before it ends. Returns the same promise that is counted. */
  hold<T>(work: () => Promise<T>): Promise<T> {
    const held = work();
    const pending = this.#innermost().#pending;
    pending.add(held);
    const settled = (): void => void pending.delete(held);
    held.then(settled, settled);
    return held;
  }

  /** Runs work on the transaction after the work before it. @throws WaybillError `transaction_ended` */
  async run<T>(work: (tx: Transaction) => Promise<T>): Promise<T> {
    const scope = this.#here();
    return scope.#inTurn(() => scope.#send(() => work(scope.tx)));
  }

  /**
   * Runs `body` in a nested scope. If it throws, its work is undone, and only its work.
   * @throws WaybillError `transaction_ended`, `work_not_awaited`
   */
  async nest<T>(body: (inner: Scope) => T | PromiseLike<T>): Promise<T> {
    const outer = this.#here();
    return outer.#inTurn(async () => {
      const savepoint = await outer.#send(() => outer.tx.savepoint());
      if (outer.#ended) throw ended();
      const inner = new Scope(outer.tx, outer);
      outer.#child = inner;
      try {
        const result = await current.run(inner, async () => body(inner));
        inner.finish();
        if (outer.#ended) throw ended();
        await outer.#send(savepoint.keep);
        return result;
      } catch (error) {
        await inner.close();
        if (!outer.#ended) await outer.#send(savepoint.undo).catch(ignore); // the first error gives the reason
        throw error;
      } finally {
        inner.#ended = true;
        outer.#child = undefined;
      }
    });
  }

  /** A statement ended the transaction. Its earlier writes are committed, and later statements do not belong to it. */
  lose(how: string): void {
    this.#lost = how;
    this.#parent?.lose(how);
  }

  /** Sets the callback that closes the open cursor or stream if the scope ends first; undefined when none is open. */
  abandoning(abandon: (() => void) | undefined): void {
    this.#abandon = abandon;
  }

  /**
   * Ends the scope after its function succeeded.
   * @throws WaybillError `work_not_awaited` when work of the function has not ended, `transaction_lost`
   */
  finish(): void {
    if (this.#lost !== undefined) throw lost(this.#lost);
    if (this.#pending.size === 0) {
      this.#ended = true;
      return;
    }
    throw new WaybillError(
      'work_not_awaited',
      `a function of a transaction ended before its own work (${this.#pending.size} still open), so nothing of it was kept: await every promise in it, of several with Promise.allSettled`,
    );
  }

  /** Ends the scope: refuses waiting and later work. Resolves when none of its statements is on the connection any more. */
  async close(): Promise<void> {
    this.#ended = true;
    for (const held of this.#pending) held.catch(ignore); // its caller may have returned; the function's own result reports the failure
    for (const go of this.#waiting.splice(0)) go();
    await this.#child?.close();
    this.#abandon?.();
    await this.#sent;
  }

  /** The scope that a call made here belongs to. @throws WaybillError `transaction_ended` */
  #here(): Scope {
    const here = this.#innermost();
    if (here.#ended) throw ended();
    return here;
  }

  #innermost(): Scope {
    const inner = current.getStore();
    let scope = inner;
    while (scope && scope !== this) scope = scope.#parent;
    return scope && inner ? inner : this;
  }

  async #inTurn<T>(work: () => Promise<T>): Promise<T> {
    if (this.#busy) {
      await new Promise<void>((go) => this.#waiting.push(go));
      if (this.#ended) throw ended();
    }
    this.#busy = true;
    try {
      return await work();
    } finally {
      const next = this.#waiting.shift();
      if (next) next();
      else this.#busy = false;
    }
  }

  async #send<T>(statement: () => Promise<T>): Promise<T> {
    if (this.#ended) throw ended();
    const sent = statement();
    this.#sent = sent.then(ignore, ignore);
    return sent;
  }
}

function lost(how: string): WaybillError {
  return new WaybillError(
    'transaction_lost',
    `a statement ended the transaction of the handler (${how}): what it wrote until then stands, and it is not run again. Use ctx.db.transaction instead`,
  );
}

function ended(): WaybillError {
  return new WaybillError(
    'transaction_ended',
    'the transaction (or a nested one, ctx.db.transaction) had ended when this was asked of it: a promise in its function was not awaited',
  );
}
