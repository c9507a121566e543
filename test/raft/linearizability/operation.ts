/** What clients of the map did and what they were told: the words in which a history is written. */

export type Call =
  | { readonly kind: "get" }
  | { readonly kind: "set"; readonly value: string }
  | { readonly kind: "delete" }
  /** Sets where the key's revision is `expected`; 0: where the key is absent. */
  | { readonly kind: "compare-and-set"; readonly expected: number; readonly value: string };

export type Answer =
  /** `revision`: that of the map right after the write which made the value. */
  | { readonly kind: "found"; readonly value: string; readonly revision: number | undefined }
  | { readonly kind: "not-found" }
  /** `revision`: that of the map right after this write. */
  | { readonly kind: "done"; readonly revision: number | undefined }
  /** `revision`: the key's present one; 0 when it is absent. */
  | { readonly kind: "conflict"; readonly revision: number }
  /** It was not applied and never will be. */
  | { readonly kind: "refused" };

export type Operation = {
  readonly client: number;
  readonly key: string;
  readonly call: Call;
  readonly calledAt: number;
  /** Undefined: unknown. It may take effect at any time after the call, or never. */
  readonly returnedAt: number | undefined;
  readonly answer: Answer | undefined;
};

/** The value it would write; undefined for what writes none. */
export function valueOf(call: Call): string | undefined {
  return "value" in call ? call.value : undefined;
}

/** A revision that the answer shows to exist. */
export function mentioned(answer: Answer | undefined): number | undefined {
  if (answer === undefined || !("revision" in answer)) return undefined;
  return answer.revision === 0 ? undefined : answer.revision;
}

function callText(call: Call): string {
  switch (call.kind) {
    case "set":
      return `set ${call.value}`;
    case "compare-and-set":
      return `compare-and-set ${call.expected} -> ${call.value}`;
    default:
      return call.kind;
  }
}

function answerText(answer: Answer | undefined): string {
  if (answer === undefined) return "unknown";
  const revision = "revision" in answer && answer.revision !== undefined ? ` at ${answer.revision}` : "";
  return `${answer.kind}${answer.kind === "found" ? ` ${answer.value}` : ""}${revision}`;
}

/** `client 3, 12.0 to 15.5: set v17: done at 42`. */
export function operationText({ client, call, calledAt, returnedAt, answer }: Operation): string {
  const time = (at: number): string => Number.isInteger(at) ? String(at) : at.toFixed(3);
  const until = returnedAt === undefined ? "?" : time(returnedAt);
  return `client ${client}, ${time(calledAt)} to ${until}: ${callText(call)}: ${answerText(answer)}`;
}
