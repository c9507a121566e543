/**
 * What the layers above see of the links. A link is this node's end of what joins it to one peer; its session
 * delivers frames exactly once and in order within a lane, or ends, and then everybody hears `down` once.
 */

/** Three independent ordered channels of a session: neither a lost nor a waiting frame of one holds up another. */
export type Lane = 0 | 1 | 2;
/** Small frames that answer bounded requests or carry coalesced state; never refused. */
export const CONTROL: Lane = 0;
export const MESSAGES: Lane = 1;
export const STREAMS: Lane = 2;
export const LANES: readonly Lane[] = [CONTROL, MESSAGES, STREAMS];

/** One live session with one incarnation of a peer. Compare by identity: a new session is a new object. */
export interface Session {
  readonly nodeId: string;
  /** 16 hexadecimal digits. */
  readonly incarnation: string;
  /** False from the moment `down` is announced. */
  readonly live: boolean;
  /**
   * Hands a frame over. It leaves in this turn's packets if window and congestion allow, else as soon as they do.
   * `frame` must not be changed afterwards; it reaches the service registered for `port` on the other side.
   * `head`, some bytes, is to stand before it, so that nobody need copy long content to put them there.
   * - `sent`: taken; delivered exactly once, unless the session ends (`down`).
   * - `full`: not taken, the lane's queue is over its bound in bytes; `writable` will be announced. Never for CONTROL.
   * - `ended`: not taken, the session has ended.
   */
  send(
    lane: Lane,
    port: number,
    frame: Uint8Array<ArrayBuffer>,
    head?: Uint8Array<ArrayBuffer>,
  ): SendResult;
  /** Hands a datagram over: goes at once, at most once, unordered; false if it does not fit one packet or cannot go now. */
  datagram(port: number, payload: Uint8Array<ArrayBuffer>): boolean;
  /** Bytes of frames on this lane not yet acknowledged by the peer's link. */
  pendingBytes(lane: Lane): number;
}

export type SendResult = "sent" | "full" | "ended";

export type PeerStatus = "up" | "suspect" | "down";

export interface PeerInfo {
  readonly nodeId: string;
  /** Of the latest session. */
  readonly incarnation: string | null;
  readonly status: PeerStatus;
  /** Smoothed round-trip time in ms; null before the first sample. */
  readonly latencyMs: number | null;
  /** 0 (unreachable) to 100. */
  readonly quality: number;
}

/**
 * A user of the links, registered under a port number of its own (0–255). For one event, services are called
 * in the order of registration. A service that throws ends the session it was called for.
 */
export interface LinkService {
  /** A new session begins. */
  up?(session: Session): void;
  /** A frame arrived, in its lane's order. The bytes belong to the receiver. */
  frame?(session: Session, lane: Lane, payload: Uint8Array<ArrayBuffer>): void;
  /** A datagram arrived. */
  datagram?(session: Session, payload: Uint8Array<ArrayBuffer>): void;
  /** A bulk lane that answered `full` has room again. */
  writable?(session: Session, lane: Lane): void;
  /** The session ended: nothing of it is delivered any more, its unacknowledged frames are lost or not, unknown. */
  down?(session: Session, reason: DownReason): void;
  /** The peer became suspect (missed pings) or is heard again. */
  suspect?(session: Session, suspected: boolean): void;
}

export type DownReason =
  /** Nothing heard for peerTimeoutMs. */
  | "timeout"
  /** The peer said that it stops. */
  | "left"
  /** Another incarnation of the node proved itself. */
  | "restarted"
  /** The peer no longer knew the session. */
  | "session-unknown"
  /** The peer broke the protocol, or a service threw on what it sent. */
  | "fault"
  /** This node stops. */
  | "stopping";

/** What the layers above may ask of all links together. */
export interface Links {
  readonly nodeId: string;
  /** This run's own, 16 hexadecimal digits. */
  readonly incarnation: string;
  /** Throws `invalid-option` for a port in use. Only before `start`. */
  register(port: number, service: LinkService): void;
  start(): Promise<void>;
  /** Tells every peer, then ends every session (`stopping`) and stops the transport. Idempotent. */
  stop(): Promise<void>;
  /** The live session with `nodeId`. */
  session(nodeId: string): Session | undefined;
  /** All live sessions. */
  sessions(): Iterable<Session>;
  /** Every node proven in this run, whatever its status; one that is down is forgotten after an hour. */
  peers(): PeerInfo[];
  peer(nodeId: string): PeerInfo | undefined;
  /** Pings once and resolves with the round trip in ms; rejects `node-lost` or `timeout`. */
  measureLatency(nodeId: string): Promise<number>;
  stats(): LinkStats;
}

/** Monotonic counters since start. */
export interface LinkStats {
  packetsSent: number;
  packetsReceived: number;
  bytesSent: number;
  bytesReceived: number;
  /** Frames sent again after loss or a reconnect. */
  retransmits: number;
  /** Inbound packets dropped, by reason. */
  dropped: Record<DropReason, number>;
  /** Handshakes refused by us, by reason. */
  refused: Record<RefusalReason, number>;
  sessionsStarted: number;
  sessionsResumed: number;
  sessionsEnded: number;
  /** What the transport gave up, by its own reasons. */
  transport: Readonly<Record<string, number>>;
}

export type DropReason = "malformed" | "unsealed" | "replayed" | "unknown-session" | "flood";
export type RefusalReason = "wrong-secret" | "wrong-cluster" | "wrong-version" | "id-in-use";
