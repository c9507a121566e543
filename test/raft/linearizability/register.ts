/** The sequential truth of one key: what each operation does to it, and which answers fit. */
import type { Answer, Call } from "./operation.ts";

export interface Register {
  /** Undefined: the key is absent. */
  readonly value: string | undefined;
  /** The map's revision after the last write here: exactly this, or no less when nobody was told. */
  readonly revision: number;
  readonly exact: boolean;
  /** The last write's outcome is unknown and nothing has shown it yet. */
  readonly unseen: boolean;
}

export const EMPTY_REGISTER: Register = { value: undefined, revision: 0, exact: true, unseen: false };

/** An operation as the register sees it; without an answer it takes effect and nobody is told. */
export interface Step {
  readonly call: Call;
  readonly answer: Answer | undefined;
}

/**
 * The register after `step`, the same object when it changes nothing; undefined when `step` cannot come now.
 *
 * Of an unknown write that nothing shows before the next one replaces it, nobody can tell whether it happened: it is
 * taken not to have, so no such write is followed by a `set` or an unknown `delete`.
 */
export function after(register: Register, { call, answer }: Step): Register | undefined {
  switch (call.kind) {
    case "get":
      return observed(register, answer);
    case "set":
      return register.unseen ? undefined : written(register, call.value, answer);
    case "delete":
      if (answer?.kind === "not-found") return observed(register, answer);
      if (register.value === undefined || (answer === undefined && register.unseen)) return undefined;
      return written(register, undefined, answer);
    case "compare-and-set": {
      if (answer?.kind === "not-found") return call.expected === 0 ? undefined : observed(register, answer);
      if (answer?.kind === "conflict") {
        return answer.revision === call.expected ? undefined : observed(register, answer);
      }
      const matched = withRevision(register, call.expected);
      return matched && written(matched, call.value, answer);
    }
  }
}

/** An answer that changes nothing. */
function observed(register: Register, answer: Answer | undefined): Register | undefined {
  switch (answer?.kind) {
    case "not-found":
      return withRevision(register, 0);
    case "conflict":
      return withRevision(register, answer.revision);
    case "found":
      if (register.value !== answer.value) return undefined;
      return answer.revision === undefined ? seen(register) : withRevision(register, answer.revision);
    default:
      return undefined;
  }
}

/** What shows that the key's revision is this one; 0: that the key is absent. */
function withRevision(register: Register, revision: number): Register | undefined {
  const { value, revision: known, exact } = register;
  if (revision === 0) return value === undefined ? seen(register) : undefined;
  if (value === undefined) return undefined;
  if (exact) return known === revision ? seen(register) : undefined;
  return revision >= known ? { value, revision, exact: true, unseen: false } : undefined;
}

function seen(register: Register): Register {
  return register.unseen ? { ...register, unseen: false } : register;
}

function written(
  before: Register,
  value: string | undefined,
  answer: Answer | undefined,
): Register | undefined {
  const unseen = answer === undefined;
  const revision = answer?.kind === "done" ? answer.revision : undefined;
  if (revision === undefined) return { value, revision: before.revision + 1, exact: false, unseen };
  return revision > before.revision ? { value, revision, exact: true, unseen } : undefined;
}

export function registerText({ value, revision, exact }: Register): string {
  return `${value ?? "absent"} at revision ${exact ? revision : `${revision} or later`}`;
}
