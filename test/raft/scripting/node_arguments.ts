/** The arguments of `add-nodes`: how the members that it makes are set up. */
import { EMPTY_CONF_STATE } from "../../../src/raft/core/configuration.ts";
import type { RaftOptions } from "../../../src/raft/core/options.ts";
import type { ConfState, Snapshot } from "../../../src/raft/core/types.ts";
import { type Command, flagOf, numberFrom, ScriptError, valuesOf } from "./script.ts";

export const ELECTION_TICKS = 3;
export const HEARTBEAT_TICKS = 1;

/** What any of these stands for is in the first members' snapshot. */
const BOOTSTRAP = ["voters", "learners", "index", "content"];

export interface NodeArguments {
  readonly options: Omit<RaftOptions, "id" | "storage">;
  /** What every log begins with; undefined for empty logs. */
  readonly snapshot: Snapshot | undefined;
}

export function nodeArguments(command: Command): NodeArguments {
  const all = (key: string): number[] => valuesOf(command, key).map(numberFrom);
  const flag = (key: string): boolean => flagOf(command, key);
  const number = (key: string, otherwise: number): number => all(key)[0] ?? otherwise;
  if (flag("async-storage-writes")) throw new ScriptError("this core has no async-storage-writes");
  const readOnly = valuesOf(command, "read-only")[0] ?? "safe";
  if (readOnly !== "safe" && readOnly !== "lease-based") {
    throw new ScriptError(`invalid read-only option ${JSON.stringify(readOnly)}`);
  }
  if (readOnly === "lease-based" && !flag("checkquorum")) {
    throw new ScriptError("CheckQuorum must be enabled when ReadOnlyOption is ReadOnlyLeaseBased");
  }
  const isBootstrap = command.args.some(({ key }) => BOOTSTRAP.includes(key));
  const index = number("index", 0);
  if (isBootstrap && index <= 1) throw new ScriptError("index must be specified as > 1 due to bootstrap");
  const confState: ConfState = { ...EMPTY_CONF_STATE, voters: all("voters"), learners: all("learners") };
  const data = new TextEncoder().encode(valuesOf(command, "content")[0] ?? "");
  return {
    snapshot: isBootstrap ? { index, term: 1, confState, data } : undefined,
    options: {
      electionTimeoutTicks: () => ELECTION_TICKS,
      electionTicks: ELECTION_TICKS,
      heartbeatTicks: HEARTBEAT_TICKS,
      applied: index,
      preVote: flag("prevote"),
      checkQuorum: flag("checkquorum"),
      leaseTicks: readOnly === "lease-based" ? 1 : 0,
      validateConfChanges: !flag("disable-conf-change-validation"),
      stepDownOnRemoval: flag("step-down-on-removal"),
      inflightMessagesMax: number("inflight", Infinity),
      inflightBytesMax: number("inflight-bytes", Infinity),
      messageBytesMax: number("max-size-per-msg", Infinity),
      uncommittedBytesMax: number("max-uncommitted-size", Infinity),
      applyingBytesMax: number("max-committed-size-per-ready", Infinity),
    },
  };
}
