/** The map as it should be, in one place: for histories that are known to be good, and for clients to try. */
import type { Answer, Call } from "./operation.ts";

export interface Versioned {
  readonly value: string;
  readonly revision: number;
}

export class AtomicMap {
  readonly #entries = new Map<string, Versioned>();
  #revision = 0;

  get revision(): number {
    return this.#revision;
  }

  get(key: string): Versioned | undefined {
    return this.#entries.get(key);
  }

  /** Does `call` at once. */
  apply(key: string, call: Call): Answer {
    const present = this.#entries.get(key);
    switch (call.kind) {
      case "get":
        return present === undefined ? { kind: "not-found" } : { kind: "found", ...present };
      case "delete":
        if (present === undefined) return { kind: "not-found" };
        this.#entries.delete(key);
        return { kind: "done", revision: ++this.#revision };
      case "compare-and-set": {
        const revision = present?.revision ?? 0;
        return revision === call.expected ? this.#set(key, call.value) : { kind: "conflict", revision };
      }
      case "set":
        return this.#set(key, call.value);
    }
  }

  #set(key: string, value: string): Answer {
    const revision = ++this.#revision;
    this.#entries.set(key, { value, revision });
    return { kind: "done", revision };
  }
}
