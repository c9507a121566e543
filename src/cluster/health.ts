import type { Outboxes } from "../connection/outboxes.ts";
import type { ConnectionProvider } from "../connection/sink.ts";
import type { Directory } from "../directory/directory.ts";

/**
 * Compares this node's own connections in the directory with its sockets, and sets right what differs: an entry
 * whose socket is gone, a socket nobody announces. Returns how many differences there were. Throws what the
 * connection provider throws.
 */
export function repairConnections(
  directory: Pick<Directory, "localConnections" | "localConnection" | "verify">,
  outboxes: Outboxes,
  provider: ConnectionProvider | undefined,
  /** Connections whose sink came from the provider. */
  provided: ReadonlySet<string>,
  /** Called for each connection that turns out to be gone: its outbox is, its entry may still be there. */
  gone: (connectionId: string) => void,
): number {
  let differences = directory.verify();
  for (const { connectionId } of [...directory.localConnections()]) {
    const outbox = outboxes.get(connectionId);
    const sink = provided.has(connectionId) ? provider?.get(connectionId) : outbox?.sink;
    if (sink !== undefined && outbox !== undefined && outbox.open) {
      if (outbox.sink === sink) continue;
      outboxes.open(connectionId, sink);
    } else if (sink !== undefined && outbox === undefined) {
      outboxes.open(connectionId, sink);
    } else {
      outboxes.remove(connectionId);
      gone(connectionId);
    }
    differences++;
  }
  for (const connectionId of [...outboxes.ids()]) {
    if (directory.localConnection(connectionId) !== undefined) continue;
    outboxes.remove(connectionId);
    gone(connectionId);
    differences++;
  }
  return differences;
}
