/**
 * The one error class of the library. Callers branch on `code`, a closed set; the message states the
 * action that failed and the value that was wrong, for people, and is never parsed.
 */
export type ErrorCode =
  /** An option, flag or argument has a value that cannot be used. */
  | "invalid-option"
  /** A call came before `start()` or after `shutdown()`. */
  | "not-running"
  /** Another living node of the cluster already uses this nodeId. */
  | "id-in-use"
  /** The peer does not know the cluster secret. */
  | "wrong-secret"
  /** The peer belongs to a cluster of another name. */
  | "wrong-cluster"
  /** The peer speaks another version of the node-to-node protocol. */
  | "wrong-version"
  /** Bytes from outside do not have the shape they must have. */
  | "malformed"
  /** No session with the named node, or it ended during the call. */
  | "node-lost"
  /** The named connection is not known on any node. */
  | "not-found"
  /** The connection closed first, or its client wanted no more. */
  | "closed"
  /** There is no Raft leader, or none that could be reached in time: nothing was changed. */
  | "no-leader"
  /** Changes before the first one that is still remembered were asked for. */
  | "compacted"
  /** The deadline passed first. */
  | "timeout"
  /** The caller's AbortSignal fired first. */
  | "aborted"
  /** A bounded queue is full. */
  | "backpressure"
  /** The data exceeds a configured limit. */
  | "too-large"
  /** A credential is missing or wrong. */
  | "unauthorized"
  /** A package or runtime feature that this feature needs is missing. */
  | "unsupported";

/** Every error the library throws or rejects with on purpose. */
export class FlotillaError extends Error {
  override readonly name = "FlotillaError";
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The message of whatever was thrown, for log lines. */
export function reasonOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** A value as it may be shown in an error message: quoted, control characters escaped, at most 80 characters. */
export function shown(value: unknown): string {
  // An object from outside may have a toString that is not a function.
  const plain = typeof value === "object" && value !== null ? Object.prototype.toString.call(value) : value;
  const text = typeof plain === "string" && plain === value ? JSON.stringify(plain) : String(plain);
  return text.length <= 80 ? text : `${text.slice(0, 77)}...`;
}
