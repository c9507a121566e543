import type { Bytes } from "../lib/bytes.ts";
import type { Socket } from "../lib/socket.ts";

/**
 * What the owner of a connection must be able to do with its socket: `Socket` without the parts only links
 * need. `onDrain` is set by the outbox and called when `bufferedBytes` fell.
 */
export interface ConnectionSink extends Pick<Socket, "bufferedBytes" | "send" | "close"> {
  onDrain: (() => void) | undefined;
  /**
   * How a binary message of the application is told from frames of ours (`client_protocol.ts`); there for SDK
   * clients only. Any other client gets messages as they are.
   */
  readonly envelope?: ((message: Bytes) => Bytes) | undefined;
}

/** How the cluster reaches this node's own sockets by connectionId. */
export interface ConnectionProvider {
  get(connectionId: string): ConnectionSink | undefined;
}

/** What the owner keeps about a connection, and answers when asked. */
export interface ConnectionDetails {
  /** The path the client connected to, with a leading slash: `/ws`. */
  readonly endpoint: string;
  /** `ip:port` or whatever the server knows; null when unknown. */
  readonly remoteAddress: string | null;
  /** Milliseconds since the Unix epoch. */
  readonly connectedAt: number;
  /** True when the client brought its own id (`?id=`), so a redirect must carry it. */
  readonly ownId: boolean;
  readonly tags: Readonly<Record<string, string>>;
}
