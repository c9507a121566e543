/** This node's own connections by their handles, and what only their owner keeps about them. */
import type { ConnectionDetails } from "../connection/sink.ts";

export interface LocalConnection {
  readonly connectionId: string;
  /** Never given twice in this run; below 2^47. */
  readonly handle: number;
  readonly details: ConnectionDetails;
}

export class LocalConnections {
  /** In the order of the handles, which is the order of registration. */
  readonly #byHandle = new Map<number, LocalConnection>();
  #lastHandle = 0;

  /** The latest handle given; 0 before the first. */
  get lastHandle(): number {
    return this.#lastHandle;
  }

  get size(): number {
    return this.#byHandle.size;
  }

  add(connectionId: string, details: ConnectionDetails): LocalConnection {
    const connection: LocalConnection = { connectionId, handle: ++this.#lastHandle, details };
    this.#byHandle.set(connection.handle, connection);
    return connection;
  }

  get(handle: number): LocalConnection | undefined {
    return this.#byHandle.get(handle);
  }

  delete(handle: number): void {
    this.#byHandle.delete(handle);
  }

  /** By ascending handles; may go on while connections come and go, and then meets those that are left. */
  values(): IterableIterator<LocalConnection> {
    return this.#byHandle.values();
  }
}
