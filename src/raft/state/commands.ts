/**
 * What entries of the log ask of the replicated state, and how they are written: one positional CBOR array
 * of session, sequence, doneBelow, the command's code and its fields.
 *
 * | code | command | fields |
 * | --- | --- | --- |
 * | 1 | open-session | session |
 * | 2 | close-session | session |
 * | 3 | set | key, value |
 * | 4 | delete | key |
 * | 5 | compare-and-set | key, expected, value or null |
 * | 6 | acquire-lease | name, holder, ttlMs |
 * | 7 | renew-lease | name, token, ttlMs |
 * | 8 | release-lease | name, token |
 * | 9 | expire-lease | name, token, renewedAt |
 * | 10 | set-member | the six fields of a member |
 * | 11 | forget-member | raftId |
 */
import { encodeCbor } from "../../lib/cbor.ts";
import { asTuple, asWhole } from "../../lib/shape.ts";
import { asSafe, asUtf8, asView, type Field, textField } from "./fields.ts";
import { LEASE_TTL_MS_MAX, LEASE_TTL_MS_MIN } from "./limits.ts";
import { memberFields, type MemberRecord, readMember } from "./members.ts";
import { decodePlain } from "./plain.ts";

export type { MemberRecord } from "./members.ts";

export type Command =
  /**
   * `session`: a random safe integer above 0, one for each run of a node. It travels in session 0; opening an
   * open session changes nothing, and one that has ended never opens again (`session-expired`).
   */
  | { readonly kind: "open-session"; readonly session: number }
  | { readonly kind: "close-session"; readonly session: number }
  | { readonly kind: "set"; readonly key: string; readonly value: Uint8Array }
  | { readonly kind: "delete"; readonly key: string }
  /** `expected`: the revision at which the key was last changed, 0 if it must not exist. Null deletes. */
  | {
    readonly kind: "compare-and-set";
    readonly key: string;
    readonly expected: number;
    readonly value: Uint8Array | null;
  }
  /** `ttlMs` of every lease: 100 to 86,400,000 milliseconds. */
  | {
    readonly kind: "acquire-lease";
    readonly name: string;
    readonly holder: string;
    readonly ttlMs: number;
  }
  | { readonly kind: "renew-lease"; readonly name: string; readonly token: number; readonly ttlMs: number }
  | { readonly kind: "release-lease"; readonly name: string; readonly token: number }
  /**
   * Of the leader, whose clock says that the lease's time is over. `renewedAt` is that of the lease it saw: a
   * renewal that was already on its way stands before this in the log, was answered, and must hold.
   */
  | {
    readonly kind: "expire-lease";
    readonly name: string;
    readonly token: number;
    readonly renewedAt: number;
  }
  /** Of the leader: what it sees of a node. Inserts, or replaces the record of the same raftId. */
  | { readonly kind: "set-member"; readonly member: MemberRecord }
  /** Of the leader: the raftId left the configuration for ever. */
  | { readonly kind: "forget-member"; readonly raftId: number };

/** A command as it is proposed, and proposed again when nobody knows what became of it. */
export interface Envelope {
  /** 0: its result is not remembered, so only for commands that may be applied twice. */
  readonly session: number;
  /** Counts from 1 in each session. */
  readonly sequence: number;
  /**
   * Every sequence below was answered to its caller and is never proposed again, so its result may be
   * forgotten. At most `sequence`.
   */
  readonly doneBelow: number;
  readonly command: Command;
}

/** Throws `malformed` for what `decodeEnvelope` would refuse, so that nobody proposes it. */
export function encodeEnvelope(envelope: Envelope): Uint8Array<ArrayBuffer> {
  const fields = envelopeFields(envelope);
  readEnvelope(fields);
  return encodeCbor(fields);
}

/** The envelope in `bytes`; values in it are views. Throws `malformed` unless `encodeEnvelope` wrote it. */
export function decodeEnvelope(bytes: Uint8Array): Envelope {
  return readEnvelope(decodePlain(bytes, "an entry"));
}

function envelopeFields({ session, sequence, doneBelow, command }: Envelope): Field[] {
  return [session, sequence, doneBelow, ...commandFields(command)];
}

function commandFields(command: Command): Field[] {
  switch (command.kind) {
    case "open-session":
      return [1, command.session];
    case "close-session":
      return [2, command.session];
    case "set":
      return [3, textField(command.key), command.value];
    case "delete":
      return [4, textField(command.key)];
    case "compare-and-set":
      return [5, textField(command.key), command.expected, command.value];
    case "acquire-lease":
      return [6, textField(command.name), textField(command.holder), command.ttlMs];
    case "renew-lease":
      return [7, textField(command.name), command.token, command.ttlMs];
    case "release-lease":
      return [8, textField(command.name), command.token];
    case "expire-lease":
      return [9, textField(command.name), command.token, command.renewedAt];
    case "set-member":
      return [10, ...memberFields(command.member)];
    case "forget-member":
      return [11, command.raftId];
  }
}

/** Fields of a command by its code; the four before them are the envelope's. */
const FIELDS = [0, 1, 1, 2, 1, 3, 3, 3, 2, 3, 6, 1] as const;

function readEnvelope(value: unknown): Envelope {
  const code = asWhole(Array.isArray(value) ? value[3] : undefined, 1, FIELDS.length - 1, "a command's code");
  const fields = asTuple(value, 4 + (FIELDS[code] as number), "an entry");
  const session = asSafe(fields[0], 0, "a session");
  const sequence = asSafe(fields[1], session === 0 ? 0 : 1, "a sequence");
  const doneBelow = asWhole(fields[2], 0, sequence, "doneBelow");
  return { session, sequence, doneBelow, command: readCommand(code, fields.slice(4)) };
}

function readCommand(code: number, fields: readonly unknown[]): Command {
  const [first, second, third] = fields;
  switch (code) {
    case 1:
      return { kind: "open-session", session: asSafe(first, 1, "a session") };
    case 2:
      return { kind: "close-session", session: asSafe(first, 1, "a session") };
    case 3:
      return { kind: "set", key: asUtf8(first, "a key"), value: asView(second, "a value") };
    case 4:
      return { kind: "delete", key: asUtf8(first, "a key") };
    case 5: {
      const expected = asSafe(second, 0, "a revision");
      const value = third === null ? null : asView(third, "a value");
      return { kind: "compare-and-set", key: asUtf8(first, "a key"), expected, value };
    }
    case 6: {
      const holder = asUtf8(second, "a lease's holder");
      return { kind: "acquire-lease", name: asName(first), holder, ttlMs: asTtlMs(third) };
    }
    case 7:
      return { kind: "renew-lease", name: asName(first), token: asToken(second), ttlMs: asTtlMs(third) };
    case 8:
      return { kind: "release-lease", name: asName(first), token: asToken(second) };
    case 9: {
      const renewedAt = asSafe(third, 0, "the index of a renewal");
      return { kind: "expire-lease", name: asName(first), token: asToken(second), renewedAt };
    }
    case 10:
      return { kind: "set-member", member: readMember(fields) };
    default:
      return { kind: "forget-member", raftId: asSafe(first, 1, "a raftId") };
  }
}

const asName = (value: unknown): string => asUtf8(value, "a lease's name");
const asToken = (value: unknown): number => asSafe(value, 0, "a lease's token");
const asTtlMs = (value: unknown): number => asWhole(value, LEASE_TTL_MS_MIN, LEASE_TTL_MS_MAX, "ttlMs");
