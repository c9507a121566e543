/** What carries AMQP's bytes to a broker and back: a TCP connection, or a WebSocket to a relay. */
export interface Pipe {
  /** In the order of the calls. Resolves when the bytes have left this process, or never will. The bytes may be used again then. */
  send(bytes: Uint8Array): Promise<void>;
  /** At once; idempotent. */
  close(): void;
}

export interface PipeEvents {
  /** Some bytes, cut anywhere. They are only read during the call. */
  data(bytes: Uint8Array): void;
  /** There will be nothing more. Once is enough. */
  closed(reason: string): void;
}

/** Connects once; rejects when that fails, or when `signal` fires. */
export type OpenPipe = (events: PipeEvents, signal: AbortSignal) => Promise<Pipe>;
