import type { Outboxes } from "../connection/outboxes.ts";
import type { ConnectionProvider, ConnectionSink } from "../connection/sink.ts";
import type { Directory } from "../directory/directory.ts";
import type { LocalConnection } from "../directory/local.ts";

/**
 * Connections compared in one call (some 20 ms): a node may have very many, and does nothing else
 * meanwhile.
 */
const COMPARED_PER_CALL = 16_384;

export interface HealthContext {
  readonly directory: Pick<Directory, "localConnections" | "localConnection" | "verify">;
  readonly outboxes: Outboxes;
  /** Called for each connection that turns out to be gone: its outbox is, its entry may still be there. */
  readonly gone: (connectionId: string) => void;
}

/**
 * Compares this node's own connections in the directory with its sockets, and sets right what differs: an
 * entry whose socket is gone, a socket nobody announces. With more than `COMPARED_PER_CALL` of them one
 * pass takes several calls.
 */
export class ConnectionHealth {
  readonly #context: HealthContext;
  // What is left of the pass: first the entries, then the sockets. Both go on while connections come and go.
  #entries: Iterator<LocalConnection>;
  #sockets: Iterator<string>;

  constructor(context: HealthContext) {
    this.#context = context;
    this.#entries = context.directory.localConnections();
    this.#sockets = context.outboxes.ids();
  }

  /**
   * Continues the pass, or begins the next; returns how many differences there were. `provided` are the
   * connections whose sink came from `provider`. Throws what the provider throws; the pass then begins again.
   */
  repair(provider: ConnectionProvider | undefined, provided: ReadonlySet<string>): number {
    let differences = this.#context.directory.verify();
    try {
      for (let count = 0; count < COMPARED_PER_CALL; count++) {
        const differed = this.#compareNext(provider, provided);
        if (differed === undefined) break;
        if (differed) differences++;
      }
    } catch (thrown) {
      this.#begin();
      throw thrown;
    }
    return differences;
  }

  #begin(): void {
    this.#entries = this.#context.directory.localConnections();
    this.#sockets = this.#context.outboxes.ids();
  }

  /** Whether the next connection of the pass differed; undefined at its end, and another one has begun. */
  #compareNext(
    provider: ConnectionProvider | undefined,
    provided: ReadonlySet<string>,
  ): boolean | undefined {
    const { directory, outboxes } = this.#context;
    const entry = this.#entries.next();
    if (entry.done !== true) {
      const { connectionId } = entry.value;
      const own = outboxes.get(connectionId)?.sink;
      return this.#repairEntry(connectionId, provided.has(connectionId) ? provider?.get(connectionId) : own);
    }
    const socket = this.#sockets.next();
    if (socket.done === true) {
      this.#begin();
      return undefined;
    }
    if (directory.localConnection(socket.value) !== undefined) return false;
    this.#remove(socket.value);
    return true;
  }

  /** True when something differed. */
  #repairEntry(connectionId: string, sink: ConnectionSink | undefined): boolean {
    const { outboxes } = this.#context;
    const outbox = outboxes.get(connectionId);
    if (sink === undefined || outbox?.open === false) this.#remove(connectionId);
    else if (outbox?.sink === sink) return false;
    else outboxes.open(connectionId, sink);
    return true;
  }

  #remove(connectionId: string): void {
    this.#context.outboxes.remove(connectionId);
    this.#context.gone(connectionId);
  }
}
