/** Scripts of whole clusters: members, the messages between them, and commands to make them act. */
import { FlotillaError } from "../../../src/lib/errors.ts";
import type { Message, StepResult } from "../../../src/raft/core/types.ts";
import type { Core } from "../core.ts";
import { describeMessage, describeProgress, describeRole, MESSAGE_NAMES, V1_CONTEXT } from "./describe.ts";
import { parseConfSteps } from "./conf_steps.ts";
import { DROPPED, Mail } from "./mail.ts";
import { ELECTION_TICKS, HEARTBEAT_TICKS, nodeArguments } from "./node_arguments.ts";
import { ScriptNode } from "./script_node.ts";
import {
  type Command,
  type Directive,
  flagOf,
  numberFrom,
  parseCommand,
  plainNumbers,
  ScriptError,
  valuesOf,
} from "./script.ts";

const LEVELS = ["DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NONE"];

export function clusterRunner(core: Core): (directive: Directive) => string {
  const cluster = new ScriptCluster(core);
  return (directive) => cluster.run(directive);
}

class ScriptCluster {
  readonly #core: Core;
  readonly #nodes: ScriptNode[] = [];
  readonly #mail = new Mail();
  #quiet = false;
  #output = "";

  constructor(core: Core) {
    this.#core = core;
  }

  run({ command, input }: Directive): string {
    this.#output = "";
    if (command.name === "propose-conf-change") this.#guarded(() => this.#proposeConfChange(command, input));
    // Further lines of input are further commands; when the first one fails they are not run.
    else if (this.#guarded(() => this.#do(command))) {
      for (const line of input) this.#guarded(() => this.#do(parseCommand(line)));
    }
    return this.#output === "" ? "ok" : this.#output;
  }

  /** Errors show even at log level none. */
  #guarded(action: () => void): boolean {
    try {
      action();
      return true;
    } catch (thrown) {
      if (!(thrown instanceof ScriptError || thrown instanceof FlotillaError)) throw thrown;
      this.#output += thrown.message;
      return false;
    }
  }

  #do(command: Command): void {
    switch (command.name) {
      case "_breakpoint":
        return;
      case "add-nodes":
        return this.#addNodes(command);
      case "campaign":
        return void this.#node(command).raw.campaign();
      case "compact":
        return this.#compact(command);
      case "deliver-msgs":
        return this.#deliverMessages(command);
      case "process-ready":
        return this.#processReady(plainNumbers(command));
      case "log-level":
        return this.#logLevel(command.args[0]?.key ?? "");
      case "raft-log":
        return this.#say(this.#node(command).describeLog());
      case "raft-state":
        return this.#raftState();
      case "set-randomized-election-timeout":
        return this.#node(command).raw.setElectionTimeout(numberFrom(valuesOf(command, "timeout")[0] ?? ""));
      case "stabilize":
        return this.#stabilizeAt(command);
      case "status":
        return this.#status(command);
      case "tick-election":
        return this.#tick(command, ELECTION_TICKS);
      case "tick-heartbeat":
        return this.#tick(command, HEARTBEAT_TICKS);
      case "tick":
        return this.#tick(command, plainNumbers(command)[1] ?? 1);
      case "transfer-leadership":
        return this.#transferLeadership(command);
      case "forget-leader":
        return void this.#node(command).raw.forgetLeader();
      case "send-snapshot":
        return this.#sendSnapshot(command);
      case "propose":
        return this.#orFail(
          this.#node(command).raw.propose(new TextEncoder().encode(command.args[1]?.key ?? "")),
        );
      case "read-index":
        return this.#orFail(this.#node(command).raw.readIndex(plainNumbers(command)[1] ?? 0));
      case "report-unreachable":
        return this.#reportUnreachable(command);
      default:
        throw new ScriptError("unknown command");
    }
  }

  #say(text: string): void {
    if (!this.#quiet) this.#output += text;
  }

  #node(command: Command): ScriptNode {
    return this.#byId(numberFrom(command.args[0]?.key ?? ""));
  }

  #byId(id: number): ScriptNode {
    const node = this.#nodes[id - 1];
    if (node === undefined) throw new ScriptError(`there is no node ${id}`);
    return node;
  }

  #addNodes(command: Command): void {
    const [count = 0] = plainNumbers(command);
    const { options, snapshot } = nodeArguments(command);
    for (let added = 0; added < count; added++) {
      this.#nodes.push(new ScriptNode(this.#core, this.#nodes.length + 1, options, snapshot));
    }
  }

  #proposeConfChange(command: Command, input: readonly string[]): void {
    const unknown = command.args.slice(1).find(({ key, values }) =>
      values.length > 0 && key !== "v1" && key !== "transition"
    );
    if (unknown !== undefined) throw new ScriptError(`unknown command ${unknown.key}`);
    const transition = valuesOf(command, "transition")[0] ?? "auto";
    if (transition !== "auto" && transition !== "implicit" && transition !== "explicit") {
      throw new ScriptError(`unknown transition ${transition}`);
    }
    const steps = parseConfSteps(input);
    const v1 = flagOf(command, "v1");
    if (v1 && (steps.length > 1 || transition !== "auto")) {
      throw new ScriptError("v1 conf change can only have one operation and no transition");
    }
    const context = v1 ? V1_CONTEXT : new Uint8Array();
    this.#orFail(this.#node(command).raw.proposeConfChange({ transition, steps, context }));
  }

  #orFail(result: StepResult): void {
    if (result !== "taken") throw new ScriptError(DROPPED);
  }

  #compact(command: Command): void {
    const [id = 0, index = 0] = plainNumbers(command);
    if (!this.#byId(id).compact(index)) {
      throw new ScriptError("requested index is unavailable due to compaction");
    }
    this.#say(this.#byId(id).describeLog());
  }

  /** In the order in which receivers are named, be it for delivery or for loss. */
  #deliverMessages(command: Command): void {
    const name = valuesOf(command, "type")[0];
    if (name !== undefined && !Object.values(MESSAGE_NAMES).includes(name)) {
      throw new ScriptError(`unknown message type ${name}`);
    }
    let handled = 0;
    for (const { key, values } of command.args) {
      if (values.length === 0) handled += this.#deliver(numberFrom(key), name, false);
      else if (key === "drop") {
        for (const id of values) handled += this.#deliver(numberFrom(id), name, true);
      }
    }
    if (handled === 0) this.#say("no messages\n");
  }

  #deliver(to: number, name: string | undefined, drop: boolean): number {
    const lines = this.#mail.deliver(to, name, drop ? undefined : this.#byId(to));
    for (const line of lines) this.#say(`${line}\n`);
    return lines.length;
  }

  #processReady(ids: readonly number[]): void {
    for (const id of ids) {
      if (ids.length > 1) this.#say(`> ${id} handling Ready\n`);
      this.#say(indented(ids.length > 1, () => this.#processOne(id)));
    }
  }

  #processOne(id: number): string {
    const { text, messages } = this.#byId(id).processReady();
    this.#mail.send(messages);
    return text;
  }

  #logLevel(name: string): void {
    const level = name.toUpperCase();
    if (!LEVELS.includes(level)) {
      throw new ScriptError(`log levels must be either of [${LEVELS.join(" ")}]`);
    }
    this.#quiet = level === "NONE";
  }

  #raftState(): void {
    for (const { raw } of this.#nodes) {
      const { id, term, softState: { lead, role }, configuration: { voters } } = raw.status();
      const voter = voters.incoming.has(id) || voters.outgoing.has(id) ? "(Voter)" : "(Non-Voter)";
      this.#say(`${id}: ${describeRole(role)} ${voter} Term:${term} Lead:${lead}\n`);
    }
  }

  #stabilizeAt(command: Command): void {
    const before = this.#quiet;
    const level = valuesOf(command, "log-level")[0];
    if (level !== undefined) this.#logLevel(level);
    const ids = plainNumbers(command);
    this.#stabilize(ids.length > 0 ? ids : this.#nodes.map(({ id }) => id));
    this.#quiet = before;
  }

  /** Handles readies and delivers messages in turn until nothing is left to do among `ids`. */
  #stabilize(ids: readonly number[]): void {
    for (let busy = true; busy;) {
      busy = false;
      for (const id of ids) {
        if (!this.#byId(id).raw.hasReady()) continue;
        this.#say(`> ${id} handling Ready\n${indented(true, () => this.#processOne(id))}`);
        busy = true;
      }
      for (const id of ids) {
        if (!this.#mail.waitsFor(id)) continue;
        this.#say(`> ${id} receiving messages\n`);
        const before = this.#output;
        this.#deliver(id, undefined, false);
        this.#output = before + indented(true, () => this.#output.slice(before.length));
        busy = true;
      }
    }
  }

  #status(command: Command): void {
    const { raw } = this.#node(command);
    const { configuration: { learners }, softState: { role } } = raw.status();
    // Only a leader knows how far the others are.
    if (role !== "leader") return;
    for (const [id, progress] of raw.progress()) {
      this.#say(`${id}: ${describeProgress(progress, learners.has(id))}\n`);
    }
  }

  #tick(command: Command, ticks: number): void {
    for (let tick = 0; tick < ticks; tick++) this.#node(command).raw.tick();
  }

  #transferLeadership(command: Command): void {
    const [from = 0] = valuesOf(command, "from").map(numberFrom);
    const [to = 0] = valuesOf(command, "to").map(numberFrom);
    this.#byId(from).raw.transferLeader(to);
  }

  #sendSnapshot(command: Command): void {
    const [from = 0, to = 0] = plainNumbers(command);
    const node = this.#byId(from);
    const snapshot = node.snapshot();
    if (snapshot === undefined) throw new ScriptError("there is no snapshot");
    const message: Message = { type: "snapshot", from, to, term: node.raw.status().term, snapshot };
    this.#mail.send([message]);
    this.#say(describeMessage(message));
  }

  #reportUnreachable(command: Command): void {
    const [at, lost] = plainNumbers(command);
    if (at === undefined || lost === undefined) {
      throw new ScriptError(
        "must specify exactly two node indexes: node on which to report, and reported node",
      );
    }
    this.#byId(at).raw.reportUnreachable(lost);
  }
}

function indented(indent: boolean, make: () => string): string {
  const text = make();
  if (!indent || text === "") return text;
  const lines = text.replace(/\n$/, "").split("\n");
  return lines.map((line) => `  ${line}\n`).join("");
}
