import type { Bytes } from "../lib/bytes.ts";
import type { Clock } from "../lib/clock.ts";
import type { FlotillaError } from "../lib/errors.ts";
import type { Logger } from "../lib/logger.ts";
import type { Random } from "../lib/random.ts";
import type { Path } from "../transport.ts";
import type { ClusterKeys } from "./cluster_keys.ts";
import type { DownReason, DropReason, Lane, LinkStats } from "./contract.ts";
import type { PlainOffer } from "./handshake_wire.ts";
import type { PacketSpace } from "./packet_space.ts";
import type { LinkSession, SessionLimits } from "./session.ts";

/** What all links of a node share. */
export interface LinkEnvironment {
  readonly nodeId: string;
  readonly incarnation: string;
  readonly clock: Clock;
  readonly random: Random;
  readonly logger: Logger;
  readonly keys: ClusterKeys;
  readonly options: { readonly pingIntervalMs: number; readonly peerTimeoutMs: number };
  readonly sessionLimits: SessionLimits;
  readonly lossless: boolean;
  readonly stopped: boolean;
  readonly stats: LinkStats;
  send(nodeId: string, packet: Bytes, path: Path | undefined): void;
  confirm(nodeId: string, path: Path): void;
  plainOffer(path: Path | undefined): PlainOffer;
  receiveWindowBytes(): number;
  newTag(): number;
  addSpace(space: PacketSpace, nodeId: string): void;
  dropSpace(tag: number): void;
  dropped(reason: DropReason): void;
  fatal(error: FlotillaError): void;
  up(session: LinkSession): void;
  down(session: LinkSession, reason: DownReason): void;
  suspect(session: LinkSession, suspected: boolean): void;
  frame(session: LinkSession, lane: Lane, port: number, frame: Bytes): void;
  datagram(session: LinkSession, port: number, payload: Bytes): void;
  writable(session: LinkSession, lane: Lane): void;
}
