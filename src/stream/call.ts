import type { Bytes } from "../lib/bytes.ts";
import type { Clock, Timer } from "../lib/clock.ts";
import { type ErrorCode, FlotillaError, reasonOf, shown } from "../lib/errors.ts";
import { type Digest, newDigest } from "../lib/xxhash.ts";
import type { Route, RouteDirectory } from "../router/contract.ts";
import { arrived, type Outcome } from "../router/outcome.ts";
import {
  IDLE_TIMEOUT_MS_DEFAULT,
  STALL_TIMEOUT_MS_DEFAULT,
  STALL_TIMEOUT_MS_OF_MANY_DEFAULT,
  type StreamOptions,
  type StreamResult,
} from "./contract.ts";
import { Cutter } from "./cutter.ts";
import type { Settlement } from "./frames.ts";
import { findRoutes } from "./find_routes.ts";
import { type Leg, type LegHost, legsTo, type Way } from "./leg.ts";
import { Progress } from "./progress.ts";
import type { StallWatch, Watch } from "./stall_watch.ts";

/** How often a connection that has moved is looked for again. */
const ROUNDS_MAX = 3;

/** What a `WritableStream` gives its sink; the types of some runtimes leave the signal out. */
interface Controller {
  readonly signal?: AbortSignal;
  error(reason?: unknown): void;
}

/** What a call needs of its node. */
export interface Caller {
  readonly clock: Clock;
  readonly directory: Pick<RouteDirectory, "lookup" | "resolve">;
  readonly watch: StallWatch;
  readonly deliveryTimeoutMs: number;
  readonly chunkSize: number;
  /** The way to a node; undefined without a session. */
  way(nodeId: string): Way | undefined;
  /** The call is over. */
  done(call: StreamCall): void;
}

/**
 * One call: one source, one or more connections, one leg for each node that has some of them. It is what stands
 * behind a `WritableStream`, whose methods it has.
 */
export class StreamCall implements LegHost {
  /** When every connection has its outcome, in the order in which they were named; rejects for a failing source. */
  readonly results: Promise<Map<string, StreamResult>>;
  /** When every owner has answered; with what the source is to be cancelled with, when the call is over already. */
  readonly opened: Promise<{ readonly error: unknown } | undefined>;
  readonly progress: Progress;
  readonly #caller: Caller;
  readonly #connectionIds: readonly string[];
  readonly #options: StreamOptions;
  readonly #results = new Map<string, StreamResult>();
  readonly #legs: Leg[] = [];
  readonly #cutter: Cutter;
  readonly #digest: Digest | undefined = newDigest();
  readonly #startedAt: number;
  #bytes = 0;
  #chunks = 0;
  /** While it looks for connections: those that no leg has. */
  #sought: Set<string> | undefined;
  #state: "running" | "closing" | "over" = "running";
  #controller: Controller | undefined;
  #wake: (() => void) | undefined;
  #tellOpened: (over: { readonly error: unknown } | undefined) => void = () => {};
  /** Why no more of the source is wanted. */
  #over: { readonly error: unknown } | undefined;
  #resolve: (results: Map<string, StreamResult>) => void = () => {};
  #reject: (error: FlotillaError) => void = () => {};
  #timers: Timer[] = [];
  #idle: Watch | undefined;
  /** A write waits for room: it is not the source that is silent. */
  #waiting = false;
  #search: AbortController | undefined;
  readonly #aborted = (): void => {
    const { reason } = this.#options.signal as AbortSignal;
    this.giveUp("timeout", `the caller's signal fired: ${reasonOf(reason)}`, reason);
  };

  /** @throws FlotillaError `invalid-option` for a chunk size that cannot be. */
  constructor(caller: Caller, connectionIds: readonly string[], options: StreamOptions) {
    const { chunkSize = caller.chunkSize, messageType, totalBytes = null, onProgress } = options;
    this.#cutter = new Cutter(chunkSize, messageType === "text");
    this.#caller = caller;
    this.#connectionIds = [...new Set(connectionIds)];
    this.#sought = new Set(connectionIds);
    this.#options = options;
    this.#startedAt = caller.clock.now();
    this.progress = new Progress(caller.clock, totalBytes, onProgress);
    this.results = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
    this.opened = new Promise((resolve) => void (this.#tellOpened = resolve));
    // Who only writes need not look at the results.
    this.results.catch(() => {});
  }

  // --- What a WritableStream asks of its sink ---

  start(controller: Controller): Promise<void> {
    this.#controller = controller;
    const { signal, timeoutMs, idleTimeoutMs = IDLE_TIMEOUT_MS_DEFAULT } = this.#options;
    const { clock, deliveryTimeoutMs } = this.#caller;
    if (timeoutMs !== undefined) {
      this.#timers.push(
        clock.timer(timeoutMs, () => this.giveUp("timeout", `not done within ${timeoutMs} ms`)),
      );
    }
    signal?.addEventListener("abort", this.#aborted, { once: true });
    // Aborted while a write waits: the streams would only tell once that is done.
    const { signal: given } = controller;
    given?.addEventListener("abort", () => this.#failed(given.reason), { once: true });
    if (signal?.aborted === true) this.#aborted();
    const opening = clock.timer(deliveryTimeoutMs, () => this.#openNoMore());
    this.#timers.push(opening);
    return this.#open().finally(() => this.#tellOpened(this.#over)).then(() => {
      opening.cancel();
      this.#checkRunning();
      const watched = {
        limitMs: idleTimeoutMs,
        mark: () => this.#waiting ? undefined : this.#cutter.takenBytes,
        stalled: () => this.#sourceStalled(),
      };
      this.#idle = this.#caller.watch.watch(watched);
    });
  }

  write(data: unknown): void | Promise<void> {
    try {
      const chunks = this.#cutter.push(data);
      for (const [index, chunk] of chunks.entries()) {
        if (!this.#hasRoom(chunk)) return this.#writeLater(chunks.slice(index));
        this.#send(chunk);
      }
    } catch (thrown) {
      this.#failed(thrown);
      throw thrown;
    }
  }

  async close(): Promise<void> {
    this.#idle?.stop();
    try {
      for (const chunk of this.#cutter.finish()) await this.#sendWhenRoom(chunk);
      const { totalBytes = this.#bytes } = this.#options;
      if (this.#bytes !== totalBytes) throw this.#lied(`only ${this.#bytes}`, totalBytes);
    } catch (thrown) {
      this.#failed(thrown);
      throw thrown;
    }
    this.#state = "closing";
    const ending = { bytes: this.#bytes, chunks: this.#chunks, digest: this.#digest?.value() ?? 0n };
    for (const leg of this.#legs) leg.end(ending);
    await this.#until(() => this.#isOver);
    const error = this.#connectionIds.length === 1 ? this.#error() : undefined;
    if (error !== undefined) throw error;
  }

  abort(reason: unknown): void {
    this.#failed(reason);
  }

  // --- LegHost ---

  changed(): void {
    let least: Leg | undefined;
    for (const leg of this.#legs) {
      if (!leg.over && (least === undefined || leg.bytes < least.bytes)) least = leg;
    }
    if (least !== undefined) this.progress.reached(least.bytes, least.chunks);
    this.#wakeUp();
  }

  settled(connectionId: string, result: Omit<Settlement, "stream" | "target">): void {
    if (result.outcome === "not-found" && this.#sought !== undefined) this.#sought.add(connectionId);
    else this.#settle(connectionId, result.outcome, result.reason, result.bytes, result.chunks);
    this.changed();
  }

  // --- Ends ---

  /** Ends what has no outcome yet with `outcome`. The source is cancelled with `error`. */
  giveUp(
    outcome: Outcome & ErrorCode,
    reason: string,
    error: unknown = this.#errorOf(outcome, reason),
    code: ErrorCode = outcome,
  ): void {
    if (this.#isOver) return;
    this.#state = "over";
    this.#refuseMore(error);
    for (const leg of this.#legs) leg.abort(outcome, { code, reason });
    for (const connectionId of this.#connectionIds) this.#settle(connectionId, outcome, reason);
  }

  /** The source failed, or brings what it must not: nobody gets more of it. */
  #failed(thrown: unknown): void {
    if (this.#isOver) return;
    const error = thrown instanceof FlotillaError && thrown.code === "malformed"
      ? thrown
      : new FlotillaError("aborted", `stream to ${this.#named}: the source failed: ${reasonOf(thrown)}`, {
        cause: thrown,
      });
    this.#reject(error);
    this.giveUp("closed", error.message, thrown, "aborted");
  }

  #sourceStalled(): void {
    this.giveUp(
      "timeout",
      `the source brought nothing for ${this.#options.idleTimeoutMs ?? IDLE_TIMEOUT_MS_DEFAULT} ms`,
    );
  }

  #settle(
    connectionId: string,
    outcome: Outcome,
    reason: string,
    bytes: number = 0,
    chunks: number = 0,
  ): void {
    if (this.#results.has(connectionId)) return;
    const ms = this.#caller.clock.now() - this.#startedAt;
    this.#results.set(connectionId, {
      outcome,
      bytes,
      chunks,
      ms,
      reason: reason === "" ? undefined : reason,
    });
    if (this.#isOver) this.#finish();
  }

  #finish(): void {
    const results = this.#connectionIds.map((id) => [id, this.#results.get(id) as StreamResult] as const);
    if (results.some(([, { outcome }]) => arrived(outcome))) this.progress.reached(this.#bytes, this.#chunks);
    this.progress.end();
    for (const timer of this.#timers) timer.cancel();
    this.#idle?.stop();
    this.#search?.abort();
    this.#options.signal?.removeEventListener("abort", this.#aborted);
    // While it closes, `close` says what became of it.
    if (this.#state === "running") this.#refuseMore(this.#error());
    this.#state = "over";
    this.#resolve(new Map(results));
    this.#caller.done(this);
    this.#wakeUp();
  }

  #refuseMore(error: unknown): void {
    this.#over = { error };
    this.#controller?.error(error);
  }

  get #isOver(): boolean {
    return this.#results.size === this.#connectionIds.length;
  }

  // --- Opening ---

  /** Finds the connections and opens a leg to each of their nodes; resolves when all owners have answered. */
  async #open(): Promise<void> {
    if (this.#connectionIds.length === 0) this.#finish();
    const sought = this.#sought as Set<string>;
    const tried = new Map<string, Route>();
    for (let round = 1; sought.size > 0 && !this.#isOver; round++) {
      this.#search = new AbortController();
      const routes = await findRoutes(this.#caller.directory, [...sought], this.#search.signal);
      if (this.#isOver) return;
      const isNew = (id: string, { nodeId, handle }: Route): boolean =>
        round <= ROUNDS_MAX && (tried.get(id)?.nodeId !== nodeId || tried.get(id)?.handle !== handle);
      const found = new Map<string, Route>();
      for (const id of sought) {
        const route = routes.get(id);
        if (route === undefined || !isNew(id, route)) this.#settle(id, "not-found", "");
        else found.set(id, route);
      }
      sought.clear();
      for (const [id, route] of found) tried.set(id, route);
      const legs = this.#openLegs(found);
      await this.#until(() => legs.every((leg) => leg.answered));
    }
    this.#sought = undefined;
  }

  /** The time for that is over: who has not been reached by now is left out. */
  #openNoMore(): void {
    const reason = `not opened within ${this.#caller.deliveryTimeoutMs} ms`;
    for (const leg of this.#legs) if (!leg.answered) leg.abort("timeout", { code: "timeout", reason });
    const sought = [...this.#sought ?? []];
    this.#sought?.clear();
    this.#search?.abort();
    for (const connectionId of sought) this.#settle(connectionId, "timeout", reason);
    this.changed();
  }

  #openLegs(routes: ReadonlyMap<string, Route>): Leg[] {
    const lost = (connectionId: string, nodeId: string): void =>
      this.#settle(connectionId, "node-lost", `no session with ${nodeId}`);
    const legs = legsTo(this, routes, (nodeId) => this.#caller.way(nodeId), lost);
    this.#legs.push(...legs);
    const { messageType, delivery, totalBytes = null, metadata = null } = this.#options;
    const stallTimeoutMs = Math.ceil(this.#options.stallTimeoutMs ?? this.#stallTimeoutMsDefault);
    const text = messageType === "text";
    for (const leg of legs) leg.open({ text, delivery, totalBytes, stallTimeoutMs, metadata });
    return legs;
  }

  get #stallTimeoutMsDefault(): number {
    return this.#connectionIds.length > 1 ? STALL_TIMEOUT_MS_OF_MANY_DEFAULT : STALL_TIMEOUT_MS_DEFAULT;
  }

  // --- Data ---

  async #writeLater(chunks: readonly Bytes[]): Promise<void> {
    this.#waiting = true;
    try {
      for (const chunk of chunks) await this.#sendWhenRoom(chunk);
    } catch (thrown) {
      this.#failed(thrown);
      throw thrown;
    }
    this.#waiting = false;
  }

  async #sendWhenRoom(chunk: Bytes): Promise<void> {
    await this.#until(() => this.#hasRoom(chunk));
    this.#checkRunning();
    this.#send(chunk);
  }

  #hasRoom({ byteLength }: Bytes): boolean {
    return this.#legs.every((leg) => leg.hasRoom(byteLength));
  }

  #send(chunk: Bytes): void {
    this.#checkRunning();
    const { totalBytes = Infinity } = this.#options;
    if (this.#bytes + chunk.byteLength > totalBytes) {
      throw this.#lied(`at least ${this.#bytes + chunk.byteLength}`, totalBytes);
    }
    this.#bytes += chunk.byteLength;
    this.#chunks++;
    this.#digest?.update(chunk);
    for (const leg of this.#legs) leg.data(chunk);
  }

  // --- ---

  async #until(condition: () => boolean): Promise<void> {
    while (!condition() && !this.#isOver) await new Promise<void>((resolve) => this.#wake = resolve);
  }

  #wakeUp(): void {
    const wake = this.#wake;
    this.#wake = undefined;
    wake?.();
  }

  #checkRunning(): void {
    if (this.#isOver) throw this.#error() ?? this.#errorOf("closed", "it is over");
  }

  /** What became of the first connection that it did not reach. */
  #error(): FlotillaError | undefined {
    for (const [connectionId, { outcome, reason = "" }] of this.#results) {
      if (!arrived(outcome)) return this.#errorOf(outcome as ErrorCode, reason, connectionId);
    }
    return undefined;
  }

  #errorOf(code: ErrorCode, reason: string, connectionId: string = this.#named): FlotillaError {
    return new FlotillaError(
      code,
      `stream to ${shown(connectionId)}: ${code}${reason === "" ? "" : `: ${reason}`}`,
    );
  }

  #lied(what: string, totalBytes: number): FlotillaError {
    return new FlotillaError(
      "malformed",
      `stream to ${this.#named}: the source has ${what} bytes, not ${totalBytes}`,
    );
  }

  get #named(): string {
    const [first = "nobody", ...others] = this.#connectionIds;
    return others.length === 0 ? first : `${first} and ${others.length} more`;
  }
}
