/** Every WebSocket close code the library sends, in one table. 4000–4999 are private use (RFC 6455, 7.4.2). */
export const CLOSE = {
  /** Normal end. */
  normal: 1000,
  /** This node is leaving; the reason may be `{"redirect":"ws://..."}`. */
  leaving: 1001,
  /** The other side broke the protocol of SDK clients. */
  protocolError: 1002,
  /** The client sends faster than `onMessage` gets done. */
  flooding: 1008,
  /** A message is longer than `messageBytesMax`. */
  tooLarge: 1009,
  /** A handler on the server failed. */
  internal: 1011,
  /** Credentials are missing or wrong. */
  unauthorized: 4001,
  /** The client reads too slowly and its queue is full. */
  slowConsumer: 4008,
  /** Node to node: the peer broke the protocol, stalled in the handshake, or another path was proven. */
  peerRefused: 4009,
  /** Replaced by a newer connection with the same connectionId; do not reconnect. */
  replaced: 4409,
} as const;

/** The reason beside `leaving` where there is no other node to go to. Beside `leaving` it is always JSON. */
export const NOWHERE = "{}";
