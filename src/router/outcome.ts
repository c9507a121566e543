/** What became of one delivery to one connection; closed. */
export type Outcome =
  /** The bytes went from the owner's process to its kernel. */
  | "delivered"
  /** The client's SDK has verified it: streams only, nobody can ask for it for a message yet. */
  | "acknowledged"
  /** No node has the connection. */
  | "not-found"
  /** The connection closed before the bytes were seen to leave. */
  | "closed"
  /** A bounded queue on the way is full. */
  | "backpressure"
  /** Longer than `messageBytesMax`. */
  | "too-large"
  /** The owner refused the caller. */
  | "unauthorized"
  /** Unknown, it may have arrived: the session with the owner ended first. */
  | "node-lost"
  /** Unknown, it may have arrived: the deadline or the caller's signal came first. */
  | "timeout";

/** Outcomes as they travel: the index is the code on the wire. Append only. */
export const OUTCOMES: readonly Outcome[] = [
  "delivered",
  "acknowledged",
  "not-found",
  "closed",
  "backpressure",
  "too-large",
  "unauthorized",
  "node-lost",
  "timeout",
];

/** True for exactly `delivered` and `acknowledged`. */
export function arrived(outcome: Outcome): boolean {
  return outcome === "delivered" || outcome === "acknowledged";
}
