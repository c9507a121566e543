/** Concurrent clients that do random operations until they are told to stop, in virtual or real time. */
import type { Clock, Timer } from "../../../src/lib/clock.ts";
import { type Random, randomBelow, seededRandom } from "../../../src/lib/random.ts";
import type { History } from "./history.ts";
import { type Answer, type Call, mentioned } from "./operation.ts";

/** The map as one client has it. Whatever cannot be done rejects; the history's `FateOf` knows what that means. */
export interface KeyValue {
  get(key: string): Promise<{ readonly value: string; readonly revision: number } | undefined>;
  /** Resolves with the map's revision after it. */
  set(key: string, value: string): Promise<number>;
  /** The same; undefined when the key was absent. */
  delete(key: string): Promise<number | undefined>;
  /** `expectedRevision` 0: only where absent. Not done: `revision` is the key's present one, 0 when it is absent. */
  compareAndSet(
    key: string,
    expectedRevision: number,
    value: string,
  ): Promise<{ readonly done: boolean; readonly revision: number }>;
}

export interface ClientsOptions {
  readonly clock: Clock;
  readonly seed: number;
  readonly history: History;
  /** Each client's own; one may serve several. */
  readonly stores: readonly KeyValue[];
  readonly keys: readonly string[];
  /** From an answer to the next call: uniform from 0 to twice this. Must not be 0, or virtual time may stand still. */
  readonly thinkMs: number;
  /** Goes before every value, so that two rounds of one history write different ones. */
  readonly label?: string;
}

/** Shares of the calls, in hundreds; deletes are the rest. */
const GETS = 0.4, SETS = 0.3, COMPARES = 0.22;
/** A compare-and-set of a key whose revision the client has not seen expects nothing there; others do so too. */
const EXPECTS_NOTHING = 0.15;

export class Clients implements AsyncDisposable {
  readonly #options: ClientsOptions;
  readonly #thinking = new Set<() => void>();
  readonly #running: Promise<void>[];
  #stopped = false;
  #failure: Error | undefined;

  constructor(options: ClientsOptions) {
    this.#options = options;
    this.#running = options.stores.map((store, client) => {
      const running = this.#run(client, store, seededRandom(options.seed + client * 7_919));
      running.catch((thrown) => void (this.#failure ??= thrown));
      return running;
    });
  }

  /** The first error that no client should have got, as soon as there is one: whoever waits for clients asks. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  /** No more calls; resolves when those under way have ended. Rejects with an error that no client should have got. */
  async stop(): Promise<void> {
    this.#stopped = true;
    for (const wake of [...this.#thinking]) wake();
    await Promise.all(this.#running);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop().catch(() => {});
  }

  async #run(client: number, store: KeyValue, random: Random): Promise<void> {
    const { history, keys, thinkMs, label = "v" } = this.#options;
    const seen = new Map<string, number>();
    for (let number = 0;; number++) {
      await this.#think(random.float() * 2 * thinkMs);
      if (this.#stopped) return;
      const key = keys[randomBelow(random, keys.length)] as string;
      const call = randomCall(random, seen.get(key) ?? 0, `${label}${client}-${number}`);
      const answer = await history.record(client, key, call, () => perform(store, key, call));
      if (answer !== undefined) seen.set(key, revisionAfter(call, answer) ?? seen.get(key) ?? 0);
    }
  }

  #think(delayMs: number): Promise<void> {
    return new Promise((resolve) => {
      if (this.#stopped) return resolve();
      const wake = (): void => {
        this.#thinking.delete(wake);
        timer.cancel();
        resolve();
      };
      const timer: Timer = this.#options.clock.timer(delayMs, wake);
      this.#thinking.add(wake);
    });
  }
}

function randomCall(random: Random, seen: number, value: string): Call {
  const lot = random.float();
  if (lot < GETS) return { kind: "get" };
  if (lot < GETS + SETS) return { kind: "set", value };
  if (lot >= GETS + SETS + COMPARES) return { kind: "delete" };
  return { kind: "compare-and-set", expected: random.float() < EXPECTS_NOTHING ? 0 : seen, value };
}

/** The revision of the key that the client knows of now; undefined: none new. */
function revisionAfter(call: Call, answer: Answer): number | undefined {
  const absent = answer.kind === "not-found" || call.kind === "delete" ||
    (answer.kind === "conflict" && answer.revision === 0);
  if (answer.kind === "refused") return undefined;
  return absent ? 0 : mentioned(answer);
}

/** Does `call` and puts what came back in the words of a history. */
export async function perform(store: KeyValue, key: string, call: Call): Promise<Answer> {
  switch (call.kind) {
    case "get": {
      const found = await store.get(key);
      return found === undefined
        ? { kind: "not-found" }
        : { kind: "found", value: found.value, revision: found.revision };
    }
    case "set":
      return { kind: "done", revision: await store.set(key, call.value) };
    case "delete": {
      const revision = await store.delete(key);
      return revision === undefined ? { kind: "not-found" } : { kind: "done", revision };
    }
    case "compare-and-set": {
      const { done, revision } = await store.compareAndSet(key, call.expected, call.value);
      return { kind: done ? "done" : "conflict", revision };
    }
  }
}
