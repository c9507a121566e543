/** What the leader sees of the cluster's nodes, and which raftIds are gone for ever. */
import { FlotillaError, shown } from "../../lib/errors.ts";
import { isNodeId } from "../../lib/ids.ts";
import { asBoolean, asWhole } from "../../lib/shape.ts";
import type { RaftId } from "../core/types.ts";
import { asLabel, asSafe, asUtf8, type Field, textField } from "./fields.ts";
import { FORGOTTEN_MEMBERS_MAX, INCARNATION_BYTES_MAX, MEMBERS_MAX, PUBLIC_URL_BYTES_MAX } from "./limits.ts";

const STATUSES = ["up", "down", "draining"] as const;

export interface MemberRecord {
  readonly raftId: RaftId;
  readonly nodeId: string;
  /** At most 2,048 bytes of UTF-8; null: it has none. */
  readonly publicUrl: string | null;
  /** 1 to 64 bytes of UTF-8. */
  readonly incarnation: string;
  readonly status: (typeof STATUSES)[number];
  /** It votes and stores, and holds no state. */
  readonly witness: boolean;
}

export class Members {
  readonly #records: Map<RaftId, MemberRecord> = new Map();
  /** The oldest first. */
  readonly #forgotten: Set<RaftId> = new Set();

  get size(): number {
    return this.#records.size;
  }

  get(raftId: RaftId): MemberRecord | undefined {
    return this.#records.get(raftId);
  }

  /** Ascending by raftId, whoever came first. */
  all(): Iterable<MemberRecord> {
    return [...this.#records.values()].sort((a, b) => a.raftId - b.raftId);
  }

  isForgotten(raftId: RaftId): boolean {
    return this.#forgotten.has(raftId);
  }

  /** The newest 1,024, the oldest of them first. */
  forgotten(): Iterable<RaftId> {
    return this.#forgotten;
  }

  /** A forgotten member stays forgotten: what says otherwise is a proposal that was long on its way. */
  set(member: MemberRecord): "set" | "forgotten" | "full" {
    const { raftId } = member;
    if (this.#forgotten.has(raftId)) return "forgotten";
    if (this.#records.size >= MEMBERS_MAX && !this.#records.has(raftId)) return "full";
    this.#records.set(raftId, member);
    return "set";
  }

  forget(raftId: RaftId): void {
    this.#records.delete(raftId);
    if (this.#forgotten.has(raftId)) return;
    this.#forgotten.add(raftId);
    if (this.#forgotten.size <= FORGOTTEN_MEMBERS_MAX) return;
    for (const oldest of this.#forgotten) {
      this.#forgotten.delete(oldest);
      break;
    }
  }

  /** Forgets who is not among `members`, and remembers those who are. */
  replace(members: readonly MemberRecord[]): void {
    const kept = new Set(members.map(({ raftId }) => raftId));
    for (const raftId of [...this.#records.keys()]) if (!kept.has(raftId)) this.forget(raftId);
    for (const member of members) {
      this.#forgotten.delete(member.raftId);
      this.set(member);
    }
  }
}

export function memberFields(member: MemberRecord): Field[] {
  const { raftId, nodeId, publicUrl, incarnation, status, witness } = member;
  return [
    raftId,
    textField(nodeId),
    publicUrl === null ? null : textField(publicUrl),
    textField(incarnation),
    STATUSES.indexOf(status),
    witness,
  ];
}

/** Throws `malformed`. */
export function readMember(fields: readonly unknown[]): MemberRecord {
  const [raftId, id, url, incarnation, status, witness] = fields;
  const nodeId = asUtf8(id, "a nodeId");
  if (!isNodeId(nodeId)) throw new FlotillaError("malformed", `expected a nodeId, got ${shown(nodeId)}`);
  return {
    raftId: asSafe(raftId, 1, "a raftId"),
    nodeId,
    publicUrl: url === null ? null : asLabel(url, PUBLIC_URL_BYTES_MAX, "a public URL"),
    incarnation: asLabel(incarnation, INCARNATION_BYTES_MAX, "an incarnation"),
    status: STATUSES[asWhole(status, 0, STATUSES.length - 1, "a status")] as MemberRecord["status"],
    witness: asBoolean(witness, "a witness flag"),
  };
}
