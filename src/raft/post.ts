/** Brings what Raft says onto the links: small messages as datagrams, large ones and snapshots on the streams lane. */
import { type Bytes, concatBytes, hex, unhex } from "../lib/bytes.ts";
import { FlotillaError, shown } from "../lib/errors.ts";
import { CONTROL, type Session, STREAMS } from "../link/contract.ts";
import type { RawNode } from "./core/raw_node.ts";
import type { Message, RaftId } from "./core/types.ts";
import { encodeFrame, type RaftFrame } from "./frames.ts";
import { decodeMessage, encodeMessage } from "./message_codec.ts";
import type { PeerTable } from "./peer_table.ts";

const CLUSTER_ID_BYTES = 8;

type Reports = Pick<RawNode, "reportUnreachable" | "reportSnapshot">;

export class Post {
  readonly #port: number;
  readonly #peers: PeerTable;
  /** Members to whom a snapshot is on its way, with the session that carries it. */
  readonly #snapshots = new Map<RaftId, Session>();
  /** The same messages go to several members: their cluster's id is written once. */
  #prefix: { readonly clusterId: string; readonly bytes: Bytes } | undefined;

  constructor(port: number, peers: PeerTable) {
    this.#port = port;
    this.#peers = peers;
  }

  /** Sends a message of this node's member; Raft bears its loss. */
  message(clusterId: string, message: Message, raw: Reports): void {
    const peer = this.#peers.byRaftId(message.to);
    if (peer === undefined) return this.#undeliverable(message, raw);
    const { session } = peer;
    const withoutData = peer.identity?.witness === true;
    const bytes = encodeMessage(message, { withoutData });
    if (message.type !== "snapshot" && session.datagram(this.#port, this.#addressed(clusterId, bytes))) {
      return;
    }
    if (!isBulky(message)) return;
    const frame = encodeFrame({ kind: "message", clusterId, message: bytes });
    if (session.send(STREAMS, this.#port, frame) !== "sent") return this.#undeliverable(message, raw);
    if (message.type === "snapshot") this.#snapshots.set(message.to, session);
  }

  /** Sends what the nodes say to each other beside that. Welcomes carry a whole state. */
  frame(session: Session, frame: RaftFrame): void {
    session.send(frame.kind === "welcome" ? STREAMS : CONTROL, this.#port, encodeFrame(frame));
  }

  /** Throws `malformed`. */
  openDatagram(payload: Bytes): { clusterId: string; message: Message } {
    if (payload.byteLength <= CLUSTER_ID_BYTES) {
      throw new FlotillaError("malformed", `a Raft datagram of ${shown(payload.byteLength)} bytes`);
    }
    const clusterId = hex(payload.subarray(0, CLUSTER_ID_BYTES));
    return { clusterId, message: this.open(payload.subarray(CLUSTER_ID_BYTES)) };
  }

  /** Throws `malformed`. */
  open(message: Uint8Array): Message {
    return decodeMessage(message);
  }

  /** At the other end of `session` the member `raftId` has what was sent to it last. */
  snapshotTaken(session: Session, raftId: RaftId, raw: Reports | undefined): void {
    if (this.#snapshots.get(raftId) !== session) return;
    this.#snapshots.delete(raftId);
    raw?.reportSnapshot(raftId, true);
  }

  /** A session ended. */
  down(session: Session, raw: Reports | undefined): void {
    const raftId = this.#peers.down(session);
    if (raftId !== undefined) raw?.reportUnreachable(raftId);
    for (const [to, carrier] of this.#snapshots) {
      if (carrier !== session) continue;
      this.#snapshots.delete(to);
      raw?.reportSnapshot(to, false);
    }
  }

  #undeliverable(message: Message, raw: Reports): void {
    if (message.type === "snapshot") raw.reportSnapshot(message.to, false);
    else raw.reportUnreachable(message.to);
  }

  #addressed(clusterId: string, message: Bytes): Bytes {
    if (this.#prefix?.clusterId !== clusterId) {
      this.#prefix = { clusterId, bytes: unhex(clusterId) };
    }
    return concatBytes(this.#prefix.bytes, message);
  }
}

/** What may be too long for a datagram; all else is soon said again. */
function isBulky({ type }: Message): boolean {
  return type === "append" || type === "propose" || type === "snapshot";
}
