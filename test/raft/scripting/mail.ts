/** The messages under way in a script, and what is printed when one arrives or is lost. */
import type { Message, StepResult } from "../../../src/raft/core/types.ts";
import { describeMessage, MESSAGE_NAMES } from "./describe.ts";
import type { ScriptNode } from "./script_node.ts";

export const DROPPED = "raft proposal dropped";
const NO_PEER = "raft: cannot step as peer not found";

export class Mail {
  #messages: Message[] = [];

  send(messages: readonly Message[]): void {
    this.#messages.push(...messages);
  }

  waitsFor(to: number): boolean {
    return this.#messages.some((message) => message.to === to);
  }

  /**
   * Hands `receiver` the messages to `to`, of the type with this name if there is one; without a receiver they are
   * lost. What is to be said of each.
   */
  deliver(to: number, name: string | undefined, receiver: ScriptNode | undefined): string[] {
    const isFor = (message: Message): boolean =>
      message.to === to && (name === undefined || MESSAGE_NAMES[message.type] === name);
    const taken = this.#messages.filter(isFor);
    this.#messages = this.#messages.filter((message) => !isFor(message));
    return taken.map((message) => {
      if (receiver === undefined) return `dropped: ${describeMessage(message)}`;
      const failed = failure(message, receiver.raw.step(message));
      return describeMessage(message) + (failed === undefined ? "" : `\n${failed}`);
    });
  }
}

/** What scripts call an error; other results are only logged there. */
function failure({ type }: Message, result: StepResult): string | undefined {
  const isResponse = type.endsWith("-response");
  if (isResponse && result === "unknown-peer") return NO_PEER;
  const dropped: StepResult[] = ["no-leader", "not-member", "transferring", "full"];
  return type === "propose" && dropped.includes(result) ? DROPPED : undefined;
}
