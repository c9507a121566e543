/** What became of a command: definite, and the same on every node. */
import { asTuple, asWhole } from "../../lib/shape.ts";
import { asSafe, asUtf8, type Field, textField } from "./fields.ts";
import { LEASE_TTL_MS_MAX, LEASE_TTL_MS_MIN } from "./limits.ts";

export type Result =
  /**
   * Session opened or closed, member set or forgotten, lease released or expired, key written or deleted.
   * `revision`: the map's after it, which is that of the change where the command made one.
   */
  | { readonly kind: "done"; readonly revision: number }
  /**
   * The key to delete is absent; the lease is not held, has another token or was renewed meanwhile; the
   * member to set is forgotten.
   */
  | { readonly kind: "not-found" }
  /** Compare-and-set: the revision at which the key was last changed; 0: it is absent. */
  | { readonly kind: "conflict"; readonly revision: number }
  /** Acquired, or renewed with the token it had. */
  | { readonly kind: "leased"; readonly token: number; readonly ttlMs: number }
  /** Somebody else has the lease. */
  | { readonly kind: "held"; readonly holder: string; readonly token: number }
  /** Nothing changed; `message` names the value and the limit. */
  | { readonly kind: "too-large"; readonly message: string }
  /** The command's session was never opened, was closed, or was evicted as the one least recently used. */
  | { readonly kind: "session-expired" }
  /** The entry's bytes are no command. Nobody waits for it: such bytes name no session for certain. */
  | { readonly kind: "malformed"; readonly message: string };

/** For snapshots: a number for its kind, then its fields. */
export function resultFields(result: Result): Field[] {
  switch (result.kind) {
    case "done":
      return [0, result.revision];
    case "not-found":
      return [1];
    case "conflict":
      return [2, result.revision];
    case "leased":
      return [3, result.token, result.ttlMs];
    case "held":
      return [4, textField(result.holder), result.token];
    case "too-large":
      return [5, textField(result.message)];
    case "session-expired":
      return [6];
    case "malformed":
      return [7, textField(result.message)];
  }
}

const FIELDS = [1, 0, 1, 2, 2, 1, 0, 1] as const;

/** Throws `malformed`. */
export function readResult(value: readonly unknown[]): Result {
  const kind = asWhole(value[0], 0, FIELDS.length - 1, "a result");
  const [, first, second] = asTuple(value, 1 + (FIELDS[kind] as number), "a result");
  switch (kind) {
    case 0:
      return { kind: "done", revision: asSafe(first, 0, "a revision") };
    case 1:
      return { kind: "not-found" };
    case 2:
      return { kind: "conflict", revision: asSafe(first, 0, "a revision") };
    case 3: {
      const ttlMs = asWhole(second, LEASE_TTL_MS_MIN, LEASE_TTL_MS_MAX, "ttlMs");
      return { kind: "leased", token: asSafe(first, 1, "a token"), ttlMs };
    }
    case 4:
      return { kind: "held", holder: asUtf8(first, "a holder"), token: asSafe(second, 1, "a token") };
    case 5:
      return { kind: "too-large", message: asUtf8(first, "a message") };
    case 6:
      return { kind: "session-expired" };
    default:
      return { kind: "malformed", message: asUtf8(first, "a message") };
  }
}
