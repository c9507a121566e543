/**
 * What is measured: messages from one server process (the sender) to clients of another (the owner), each with an
 * answer about its own delivery. Everything that can do that is a contender.
 */

export interface Owner {
  /** Where the sender reaches this process. */
  readonly peerUrl: string;
  /** Where clients connect. */
  readonly clientUrl: string;
  stop(): Promise<void>;
}

export interface Sender {
  /** Resolves when the cluster says that the message was delivered; rejects when it says otherwise. */
  send(connectionId: string, payload: Uint8Array<ArrayBuffer>): Promise<void>;
  /** So many bytes in 64 KiB chunks, if it can; resolves when they are delivered. */
  stream?(connectionId: string, bytes: number): Promise<void>;
  /** Packets that it has put on the wire, and their bytes, since the beginning, if it knows. */
  sent?(): { readonly packets: number; readonly bytes: number };
  stop(): Promise<void>;
}

export interface Contender {
  own(setup: Setup): Promise<Owner>;
  /** `connectionIds` are connected by now. */
  sendTo(peerUrl: string, connectionIds: readonly string[], setup: Setup): Promise<Sender>;
  /** Connects one client; `received` hears every message. */
  connect(
    clientUrl: string,
    connectionId: string,
    received: (payload: Uint8Array) => void,
  ): Promise<{ close(): void }>;
}

/** What the bench has prepared for all processes. */
export interface Setup {
  /** Null: there is no Redis. */
  readonly redisUrl: string | null;
  /** The same Redis over HTTP, a RabbitMQ, and a relay before it: where a bench of brokers has them. */
  readonly redisHttpUrl?: string;
  readonly rabbitMqUrl?: string;
  readonly rabbitMqRelayUrl?: string;
}

/** The ids of `count` connections. */
export function connectionIdsOf(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `connection-${index}`);
}

/** What the sender says of one stretch at full throughput. */
export interface ThroughputRun {
  /** Messages with an answer. */
  readonly messages: number;
  readonly ms: number;
  /** Processor time of the sender. */
  readonly cpuMs: number;
}

/** What the sender says of one stretch at a steady pace. */
export interface PacedRun {
  readonly messages: number;
  /** From each call to its answer. */
  readonly answerMsP50: number;
  readonly answerMsP99: number;
}

/** What the client processes say of any stretch. */
export interface Reception {
  readonly messages: number;
  /** From each call, at the sender, to the arrival here. */
  readonly arrivalMsP50: number;
  readonly arrivalMsP99: number;
}
