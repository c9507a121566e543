/**
 * A WebSocket as every runtime's adapter presents it, server side or client side. What differs between Deno,
 * Bun, Node and standard sockets (close codes, double close events, throwing sends, silent drops, shared
 * buffers, the meaning of "buffered") is settled in the adapters and nowhere else.
 */
export interface Socket {
  /** Bytes handed to `send` that the kernel does not have yet. */
  readonly bufferedBytes: number;
  /**
   * Queues one message. The bytes must not be changed afterwards.
   * Returns false, and sends nothing, when the socket is no longer open. Never throws, never drops.
   */
  send(data: string | Uint8Array<ArrayBuffer>): boolean;
  /**
   * Starts the closing handshake; what was sent before still goes out. `code` is 1000, 1001–1014 or 3000–4999
   * where the runtime allows it (a client socket maps others to 4000); `reason` is cut to 123 bytes of UTF-8.
   * If the other side does not answer within 5 s the socket is cut.
   */
  close(code: number, reason: string): void;
  /** Cuts the TCP connection now. */
  terminate(): void;
}

/** What a socket tells its owner. Handlers that throw or reject close only this socket (1011). */
export interface SocketEvents {
  /** One message, in order. The bytes belong to the receiver. */
  message(data: string | Uint8Array<ArrayBuffer>): void;
  /** `bufferedBytes` fell after having been above zero. May come late (a few ms), never too early. */
  drain?(): void;
  /** Exactly once, and nothing after it; `code` is 1006 where no close frame was seen. */
  close(code: number, reason: string): void;
}
