import type { Bytes } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import type { Random } from "../lib/random.ts";
import type { Path } from "../transport.ts";
import type { ClusterKeys } from "./cluster_keys.ts";
import type { Introduction, LanePositions, PlainOffer, Reply } from "./handshake_wire.ts";
import type { LinkOptions } from "./options.ts";
import type { PacketSpaceOptions } from "./packet_space.ts";
import { plainProtection, SealedProtection } from "./protection.ts";

/** What both sides settled on. */
export interface Agreement {
  readonly incarnation: string;
  readonly sessionId: string;
  readonly resumed: boolean;
  /** What the peer has of each lane of the resumed session; zeros for a new one. */
  readonly peerReceived: LanePositions;
  readonly peerWindowBytes: number;
  readonly ownWindowBytes: number;
  readonly space: PacketSpaceOptions;
}

/** What the handshake must know of the link and tells it. */
export interface HandshakerHost {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly peerId: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly keys: ClusterKeys;
  /** Total time for one attempt, ms. */
  readonly handshakeTimeoutMs: number;
  send(packet: Bytes, path: Path | undefined): void;
  /** A tag that no packet space of this node uses. */
  newTag(): number;
  windowBytes(): number;
  /** The ways to try: those that claim to lead to the peer, or `undefined` where the transport has but one. */
  ways(): readonly (Path | undefined)[];
  /** Whether this side is content without sealing on `path`. */
  plainOffer(path: Path | undefined): PlainOffer;
  /** The live session, to go on with. */
  liveSession():
    | { readonly id: string; readonly incarnation: string; readonly received: LanePositions }
    | undefined;
  /** Whether the incarnation of the live session answers within a probe. */
  probe(): Promise<boolean>;
  /** As initiator: the responder's first packet in this space will seal the agreement (`settled`). */
  expect(agreement: Agreement): void;
  /** The space expected last is not to be anymore. */
  abandon(tagIn: number): void;
  /** As responder: both sides are proven. */
  commit(agreement: Agreement): void;
  /** The peer's attempt is about to be refused. */
  refusing(reason: "session-unknown" | "id-in-use"): void;
  /** The attempt of this side came to nothing. */
  failed(reason: "timeout" | "session-unknown" | "id-in-use"): void;
}

/** Nothing was received of a new session, whatever the peer says. */
export const FRESH_POSITIONS: LanePositions = [0, 0, 0];

/** The agreement as the side that said `own` sees it. */
export function agree(
  reply: Reply,
  own: Introduction,
  peer: Introduction,
  peerReceived: LanePositions,
  plain: boolean,
  path: Path | undefined,
  sendSecret: Bytes,
  receiveSecret: Bytes,
): Agreement {
  return {
    incarnation: peer.incarnation,
    sessionId: reply.sessionId,
    resumed: reply.resumed,
    peerReceived: reply.resumed ? peerReceived : FRESH_POSITIONS,
    peerWindowBytes: peer.windowBytes,
    ownWindowBytes: own.windowBytes,
    space: {
      tagIn: own.tag,
      tagOut: peer.tag,
      path,
      protection: plain ? plainProtection : new SealedProtection(sendSecret, receiveSecret),
    },
  };
}

/** What a side offers on `path`; `allPrivate` where the transport declares that every way is. */
export function plainOffer(
  seal: LinkOptions["seal"],
  allPrivate: boolean,
  path: Path | undefined,
): PlainOffer {
  const isContent = path === undefined ? allPrivate : path.private;
  if (seal === "always" || (seal === "auto" && !isContent)) return "no";
  if (path === undefined) return "declared";
  return path.outbound ? "opened" : "accepted";
}

/**
 * Whether both offers together allow a session without sealing. Two accepting ends, each on a private way, are two
 * ways that somebody in between opened and passes packets through.
 */
export function isPlain(own: PlainOffer, peer: PlainOffer): boolean {
  switch (own) {
    case "no":
      return false;
    case "opened":
      return peer === "accepted";
    case "accepted":
      return peer === "opened";
    case "declared":
      return peer === "declared";
  }
}
