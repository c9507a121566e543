import { decodeCbor, encodeCbor } from "../lib/cbor.ts";
import { asText, asTuple, asWhole } from "../lib/shape.ts";
import { CONTROL, type Lane, type Links, type LinkService, type Session } from "../link/contract.ts";

/** The cluster's own port on the links. */
export const STATUS_PORT = 3;

const PUBLIC_URL_BYTES_MAX = 2_048;

/** What a node says of itself. */
export interface NodeStatus {
  /** Where clients reach it: `ws://host:port`; null when it serves none. */
  readonly publicUrl: string | null;
  /** It leaves; nobody should be sent there. */
  readonly draining: boolean;
}

const UNKNOWN: NodeStatus = { publicUrl: null, draining: false };

/** Tells every peer what this node is, and remembers what they said: absolute state, sent anew when it changes. */
export class NodeStatuses implements LinkService {
  readonly #links: Pick<Links, "sessions">;
  readonly #peers = new Map<string, NodeStatus>();
  #own: NodeStatus = UNKNOWN;

  constructor(links: Pick<Links, "sessions">) {
    this.#links = links;
  }

  get own(): NodeStatus {
    return this.#own;
  }

  set own(status: NodeStatus) {
    this.#own = status;
    for (const session of this.#links.sessions()) this.#tell(session);
  }

  of(nodeId: string): NodeStatus {
    return this.#peers.get(nodeId) ?? UNKNOWN;
  }

  up(session: Session): void {
    this.#tell(session);
  }

  down(session: Session): void {
    this.#peers.delete(session.nodeId);
  }

  /** Throws `malformed`. */
  frame(session: Session, _lane: Lane, payload: Uint8Array<ArrayBuffer>): void {
    const [publicUrl, draining] = asTuple(decodeCbor(payload), 2, "a node status");
    this.#peers.set(session.nodeId, {
      publicUrl: publicUrl === null ? null : asText(publicUrl, PUBLIC_URL_BYTES_MAX, "a public URL"),
      draining: asWhole(draining, 0, 1, "a flag") === 1,
    });
  }

  #tell(session: Session): void {
    session.send(CONTROL, STATUS_PORT, encodeCbor([this.#own.publicUrl, this.#own.draining ? 1 : 0]));
  }
}
