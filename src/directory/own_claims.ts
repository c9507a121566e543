/**
 * This node's own claims: its connections, their claims in the table and the log of both, always together.
 */
import type { ConnectionDetails } from "../connection/sink.ts";
import { checkDetails } from "./details.ts";
import { NONE } from "./id_index.ts";
import { checkConnectionId } from "./ids.ts";
import { LocalConnections } from "./local.ts";
import type { LocalConnection } from "./local.ts";
import { ChangeLog } from "./log.ts";
import { STAMP_MAX } from "./stamp.ts";
import type { HybridClock } from "./stamp.ts";
import type { Owner, RouteTable } from "./table.ts";

export interface OwnClaimsContext {
  readonly nodeId: string;
  readonly table: RouteTable;
  readonly stamps: HybridClock;
  /** The log has grown. */
  logged(): void;
  /** Another claim on `connectionId` counts now, or none. */
  changed(connectionId: string): void;
  /** A claim of another node has beaten this connection; its entry is gone. */
  lost(connection: LocalConnection): void;
}

export class OwnClaims {
  readonly owner: Owner;
  readonly connections: LocalConnections = new LocalConnections();
  readonly log: ChangeLog = new ChangeLog();
  readonly #context: OwnClaimsContext;
  readonly #table: RouteTable;

  constructor(context: OwnClaimsContext) {
    this.#context = context;
    this.#table = context.table;
    this.owner = context.table.open(context.nodeId);
  }

  /** See `Directory.register`. */
  register(
    connectionId: string,
    details: ConnectionDetails,
  ): { readonly handle: number; readonly replaced: LocalConnection | undefined } {
    checkConnectionId(connectionId);
    checkDetails(connectionId, details);
    const replaced = this.get(connectionId);
    if (replaced !== undefined) this.connections.delete(replaced.handle);
    const connection = this.connections.add(connectionId, details);
    this.#claim(connection);
    return { handle: connection.handle, replaced };
  }

  unregister(connectionId: string, handle: number | undefined): boolean {
    const connection = this.get(connectionId);
    if (connection === undefined || (handle !== undefined && connection.handle !== handle)) return false;
    this.#release(connection);
    return true;
  }

  get(connectionId: string): LocalConnection | undefined {
    const slot = this.#table.claim(this.owner, connectionId);
    return slot === NONE ? undefined : this.connections.get(this.#table.handleAt(slot));
  }

  /** The stamp of a connection's claim; undefined when its entry is gone. */
  stampOf({ connectionId, handle }: LocalConnection): number | undefined {
    const slot = this.#table.claim(this.owner, connectionId);
    return slot !== NONE && this.#table.handleAt(slot) === handle ? this.#table.stampAt(slot) : undefined;
  }

  /** Gives the connection up if a later claim has beaten it. */
  concede(connectionId: string): void {
    const connection = this.get(connectionId);
    if (connection === undefined) return;
    if (this.#table.claim(this.owner, connectionId) === this.#table.winner(connectionId)) return;
    this.#release(connection);
    this.#context.lost(connection);
  }

  /** Makes table and connections agree again; returns how many differed. Looks at all of them. */
  mend(): number {
    let differences = 0;
    for (const connection of this.connections.values()) {
      if (this.get(connection.connectionId) === connection) continue;
      differences++;
      this.#claim(connection);
    }
    if (this.#table.countOf(this.owner) === this.connections.size) return differences;
    for (const id of [...this.#table.ids()]) {
      if (this.#table.claim(this.owner, id) === NONE || this.get(id) !== undefined) continue;
      differences++;
      this.#withdraw(id);
    }
    return differences;
  }

  #claim({ connectionId, handle }: LocalConnection): void {
    let stamp = this.#context.stamps.next();
    const winner = this.#table.winner(connectionId);
    // A claim too far ahead for our clock to follow is still topped by one made after it was seen.
    if (winner !== NONE) stamp = Math.min(STAMP_MAX, Math.max(stamp, this.#table.stampAt(winner) + 1));
    this.#table.put(this.owner, connectionId, handle, stamp);
    this.log.put(connectionId, handle, stamp);
    this.#context.logged();
    this.#context.changed(connectionId);
    // Beaten already: only by a claim with the last stamp there is. The caller first gets its handle.
    if (stamp === STAMP_MAX) queueMicrotask(() => this.concede(connectionId));
  }

  #release(connection: LocalConnection): void {
    this.connections.delete(connection.handle);
    this.#withdraw(connection.connectionId);
  }

  #withdraw(connectionId: string): void {
    const changed = this.#table.remove(this.owner, connectionId);
    this.log.remove(connectionId);
    this.#context.logged();
    if (changed) this.#context.changed(connectionId);
  }
}
