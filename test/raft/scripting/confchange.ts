/** Scripts of configuration changes alone: `simple`, `enter-joint`, `leave-joint`. */
import {
  type ChangeResult,
  enterJoint,
  leaveJoint,
  simpleChange,
} from "../../../src/raft/core/conf_change.ts";
import { RAFT_DEFAULTS } from "../../../src/raft/core/options.ts";
import { Tracker } from "../../../src/raft/core/tracker.ts";
import { parseConfSteps } from "./conf_steps.ts";
import { describeConfiguration, describeProgress } from "./describe.ts";
import { type Command, type Directive, flagOf, ScriptError } from "./script.ts";

/** Each directive moves the log's last index by one, which shows where new members are probed first. */
export function confChangeRunner(): (directive: Directive) => string {
  const tracker = new Tracker(RAFT_DEFAULTS);
  let lastIndex = 0;
  return ({ command, input }) => {
    const at = lastIndex++;
    try {
      const result = change(tracker, command, input);
      if ("refused" in result) return result.refused;
      tracker.switchTo(result, at);
    } catch (thrown) {
      if (thrown instanceof ScriptError) return thrown.message;
      throw thrown;
    }
    const lines = [describeConfiguration(tracker.configuration)];
    for (const id of tracker.members) {
      const progress = tracker.progress(id);
      if (progress !== undefined) lines.push(`${id}: ${describeProgress(progress, tracker.isLearner(id))}`);
    }
    return lines.join("\n");
  };
}

function change(tracker: Tracker, command: Command, input: readonly string[]): ChangeResult {
  const steps = parseConfSteps(input);
  switch (command.name) {
    case "simple":
      return simpleChange(tracker.configuration, steps);
    case "enter-joint":
      return enterJoint(tracker.configuration, flagOf(command, "autoleave"), steps);
    case "leave-joint":
      if (steps.length > 0) return { refused: "this command takes no input" };
      return leaveJoint(tracker.configuration);
    default:
      return { refused: "unknown command" };
  }
}
