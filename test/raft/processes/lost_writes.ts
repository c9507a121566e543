/** Acknowledged writes that the last reads of a history do not know of: plainer than the whole search. */
import { mentioned, type Operation, operationText } from "../linearizability/operation.ts";

/**
 * For each key, its last acknowledged write, when the last read of that key shows neither it nor a later one. Every
 * key must have been read after everything else had ended.
 */
export function lostWrites(history: readonly Operation[]): string[] {
  const lost: string[] = [];
  for (const [key, operations] of Map.groupBy(history, ({ key }) => key)) {
    const answered = operations.filter(({ call, answer, returnedAt }) =>
      call.kind === "get" && (answer?.kind === "found" || answer?.kind === "not-found") &&
      returnedAt !== undefined
    );
    const read = answered.toSorted((a, b) => a.calledAt - b.calledAt).at(-1);
    const written = operations.filter(({ answer }) => answer?.kind === "done").toSorted((a, b) =>
      (mentioned(a.answer) ?? 0) - (mentioned(b.answer) ?? 0)
    ).at(-1);
    if (written === undefined) continue;
    const mayBeDeleted = written.call.kind === "delete" ||
      operations.some(({ call, answer }) => call.kind === "delete" && answer === undefined);
    const kept = read?.answer?.kind === "found"
      ? (mentioned(read.answer) ?? 0) >= (mentioned(written.answer) ?? 0)
      : read !== undefined && mayBeDeleted;
    if (kept) continue;
    const reading = read === undefined ? "nobody read it at the end" : operationText(read);
    lost.push(`${key}: ${operationText(written)}; ${reading}`);
  }
  return lost;
}
