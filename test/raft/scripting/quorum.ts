/** Scripts of quorums alone: `committed` and `vote`, over `cfg` and perhaps `cfgj`. */
import {
  type AckedIndex,
  jointIndex,
  jointVote,
  type JointVoters,
  majorityIndex,
  majorityVote,
  type VoteResult,
  voterIds,
} from "../../../src/raft/core/quorum.ts";
import { type Command, type Directive, numberFrom, ScriptError, valuesOf } from "./script.ts";

const VOTES: Record<VoteResult, string> = { won: "VoteWon", lost: "VoteLost", pending: "VotePending" };

/** How words stand in the error about too many or too few of them. */
const AS_NUMBERS: Readonly<Record<string, string>> = { _: "0", n: "1", y: "2" };

export function runQuorum({ command }: Directive): string {
  const incoming = valuesOf(command, "cfg").map(numberFrom);
  const joint = valuesOf(command, "cfgj");
  const outgoing = joint.filter((value) => value !== "zero").map(numberFrom);
  const voters: JointVoters = { incoming: new Set(incoming), outgoing: new Set(outgoing) };
  const words = valuesOf(command, command.name === "vote" ? "votes" : "idx");
  const ids = [...new Set([...incoming, ...outgoing])];
  if (ids.length !== words.length) {
    const known = voterIds(voters).map((id) => `${id}:{}`).join(" ");
    const input = words.map((word) => AS_NUMBERS[word] ?? word).join(" ");
    return `error: mismatched input (explicit or _) for voters map[${known}]: [${input}]`;
  }
  // One word for each voter, in the order in which they are first named; `_` is a voter that said nothing.
  const said = new Map(
    ids.map((id, place) => [id, words[place] ?? "_"] as const).filter(([, word]) => word !== "_"),
  );
  return decide(command, voters, said, joint.length > 0);
}

function decide(
  command: Command,
  voters: JointVoters,
  said: ReadonlyMap<number, string>,
  joint: boolean,
): string {
  const swapped = { incoming: voters.outgoing, outgoing: voters.incoming };
  const empty = { incoming: voters.incoming, outgoing: new Set<number>() };
  const twice = { incoming: voters.incoming, outgoing: voters.incoming };
  switch (command.name) {
    case "vote": {
      const votes = new Map([...said].map(([id, word]) => [id, word === "y"] as const));
      const result = VOTES[joint ? jointVote(voters, votes) : majorityVote(voters.incoming, votes)];
      const others = joint
        ? { symmetry: swapped }
        : { "zero-joint quorum": empty, "self-joint quorum": twice };
      return differing(result, others, (other) => VOTES[jointVote(other, votes)]);
    }
    case "committed": {
      const acked: AckedIndex = (id) => said.has(id) ? numberFrom(said.get(id) ?? "") : undefined;
      const shown = (index: number): string => index === Infinity ? "∞" : String(index);
      const result = shown(joint ? jointIndex(voters, acked) : majorityIndex(voters.incoming, acked));
      const others = joint
        ? { symmetry: swapped }
        : { "zero-joint quorum": empty, "self-joint quorum": twice };
      return differing(result, others, (other) => shown(jointIndex(other, acked)));
    }
    default:
      throw new ScriptError(`unknown command ${command.name}`);
  }
}

/** `result`, after the results of equal quorums that are not equal to it, which is a fault. */
function differing(
  result: string,
  others: Record<string, JointVoters>,
  of: (voters: JointVoters) => string,
): string {
  const lines = Object.entries(others).map(([name, voters]) => [name, of(voters)] as const)
    .filter(([, other]) => other !== result).map(([name, other]) => `${other} <-- via ${name}`);
  return [...lines, result].join("\n");
}
