/** Bugs that the simulator must find: each is one change of the core's text, made in a copy of its own. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { Core } from "../core.ts";

export interface PlantedBug {
  readonly name: string;
  /** In `src/raft/core`. */
  readonly file: string;
  /** Stands in the file once. */
  readonly right: string;
  readonly wrong: string;
  /** The rule that breaks, or one of them. */
  readonly breaks: RegExp;
}

export const PLANTED_BUGS: readonly PlantedBug[] = [
  {
    name: "a vote is not durable",
    file: "raw_node.ts",
    right: "(hardState.term !== this.#hardState.term || hardState.vote !== this.#hardState.vote)",
    wrong: "hardState.term !== this.#hardState.term",
    breaks: /votes are durable|one vote a term|one leader a term/,
  },
  {
    name: "an entry of an older term is committed by counting its copies",
    file: "log.ts",
    right: "if (index <= this.committed || !this.matches(index, term)) return false;",
    wrong: "if (index <= this.committed || term < 0) return false;",
    breaks: /count copies of their own|leader completeness|one value/,
  },
  {
    name: "a vote does not look at the candidate's log",
    file: "election.ts",
    right: "const granted = free && raft.log.isUpToDate(index, logTerm);",
    wrong: "const granted = free && index >= 0 && logTerm >= 0;",
    breaks: /leader completeness|one value/,
  },
  {
    name: "an append cuts off whatever follows it",
    file: "log.ts",
    right: "const fresh = entries.findIndex((entry) => !this.matches(entry.index, entry.term));",
    wrong: "const fresh = entries.findIndex((entry) => entry.index > this.committed);",
    breaks: /durable|leader completeness|one value/,
  },
  {
    name: "a joint configuration decides by its incoming half alone",
    file: "quorum.ts",
    right: "return Math.min(majorityIndex(voters.incoming, acked), majorityIndex(voters.outgoing, acked));",
    wrong: "return majorityIndex(voters.incoming, acked);",
    breaks: /commits are durable on a quorum|leader completeness|one value/,
  },
  {
    name: "a snapshot leaves the configuration as it was",
    file: "members.ts",
    right: "switchTo(raft, { configuration, fresh: new Set(raft.tracker.members) });",
    wrong: "raft.tracker.resetProgress(raft.log.lastIndex);",
    breaks: /configurations are equal|liveness/,
  },
  {
    name: "a lease outlives a transfer of the leadership",
    file: "read_index.ts",
    right: "if (raft.options.leaseTicks === 0 || raft.leaseGivenAway) return false;",
    wrong: "if (raft.options.leaseTicks === 0) return false;",
    breaks: /reads are not stale/,
  },
  {
    name: "a pre-vote raises the term of who is asked",
    file: "step.ts",
    right: 'if (type === "vote") raft.becomeFollower(term, NO_ID);',
    wrong: "raft.becomeFollower(term, NO_ID);",
    breaks: /pre-votes raise no term|liveness/,
  },
  {
    name: "a configuration is in force before its commit is durable",
    file: "raw_node.ts",
    right: 'committedEntries.some(({ type }) => type === "conf-change") ||',
    wrong: "",
    breaks: /commits of changes are durable|liveness/,
  },
  {
    name: "a member comes back without a change that its log proves to be committed",
    file: "raft.ts",
    right: "if (this.options.validateConfChanges) this.log.commitFollowedConfChanges();",
    wrong: "",
    breaks: /one uncommitted configuration change|leader completeness/,
  },
];

/** Loads a copy of the core with `bug` in it. Throws when the text to change is not there exactly once. */
export async function plant({ name, file, right, wrong }: PlantedBug): Promise<Core> {
  const folder = mkdtempSync(join(tmpdir(), "flotilla-planted-"));
  try {
    const source = new URL("../../../src/", import.meta.url);
    cpSync(new URL("lib", source), join(folder, "lib"), { recursive: true });
    cpSync(new URL("raft/core", source), join(folder, "raft/core"), { recursive: true });
    const target = join(folder, "raft/core", file);
    // Formatting may break lines differently; what counts is the words.
    const pattern = new RegExp(
      right.split(/\s+/).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join("\\s+"),
      "g",
    );
    const text = readFileSync(target, "utf8");
    const places = text.match(pattern)?.length ?? 0;
    if (places !== 1) throw new Error(`planting "${name}": its text stands ${places} times in ${file}`);
    writeFileSync(target, text.replace(pattern, () => wrong));
    const url = pathToFileURL(join(folder, "raft/core/raw_node.ts")).href;
    const { RawNode } = await import(url) as Core;
    return { RawNode };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
