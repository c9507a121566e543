/** What one seed means: how many machines, which options, which kinds of fault and how much of each. */
import { type Random, randomBelow } from "../../../src/lib/random.ts";
import type { RaftOptions } from "../../../src/raft/core/options.ts";

export const TICK_MS = 10;
export const ELECTION_TICKS = 10;

export interface Plan {
  readonly machines: number;
  /** The first so many machines are the voters at the start. */
  readonly voters: number;
  /** The operator never goes below. */
  readonly votersMin: number;
  readonly chaosMs: number;
  readonly options: Omit<RaftOptions, "id" | "storage" | "electionTimeoutTicks" | "applied">;
  /** Mean of the exponential part of a message's delay. */
  readonly delayMs: number;
  /** Probabilities for each message. */
  readonly loss: number;
  readonly replay: number;
  /** Mean time a write takes; 0 is at once. */
  readonly diskMs: number;
  /** Mean time between faults of the kinds below, and the kinds. */
  readonly faultEveryMs: number;
  readonly faults: readonly Fault[];
  /** How likely a vote, a change of role or of configuration draws a fault on its node. */
  readonly bias: number;
  readonly clocks: boolean;
  /** Mean time between the operator's acts; 0 for none. */
  readonly changeEveryMs: number;
  /** Mean time between words to somebody about who should lead. */
  readonly urgeEveryMs: number;
  readonly requestEveryMs: number;
  readonly compactEveryMs: number;
}

export type Fault = "crash" | "disk-loss" | "isolate" | "split" | "clog" | "pause" | "one-way";

const FAULTS: readonly Fault[] = ["crash", "disk-loss", "isolate", "split", "clog", "pause", "one-way"];

export function planFor(random: Random): Plan {
  const chance = (probability: number): boolean => random.float() < probability;
  const between = (low: number, high: number): number => low + randomBelow(random, high - low + 1);
  const faults = FAULTS.filter((fault) => chance(fault === "disk-loss" ? 0.3 : 0.5));
  const changes = chance(0.7);
  const machines = between(3, 7);
  const votersMin = faults.includes("disk-loss") ? 3 : between(1, 3);
  const clocks = chance(0.5);
  const checkQuorum = chance(0.85);
  const lease = checkQuorum && chance(0.4);
  return {
    machines,
    voters: changes ? between(Math.max(votersMin, Math.min(3, machines)), machines) : machines,
    votersMin,
    chaosMs: between(2_000, 8_000),
    options: {
      electionTicks: ELECTION_TICKS,
      heartbeatTicks: between(1, 3),
      preVote: chance(0.8),
      checkQuorum,
      // The leader's clock may run at half speed and a follower's at double; one tick is for the grain of ticks.
      leaseTicks: !lease ? 0 : clocks ? ELECTION_TICKS / 4 | 0 : ELECTION_TICKS - 2,
      messageBytesMax: chance(0.5) ? 200 : 65_536,
      inflightMessagesMax: between(1, 8),
      inflightBytesMax: chance(0.5) ? 500 : 65_536,
      uncommittedBytesMax: chance(0.5) ? 2_000 : 1_000_000,
      applyingBytesMax: chance(0.5) ? 300 : 1_000_000,
      readsMax: chance(0.5) ? 4 : 1_000,
    },
    delayMs: chance(0.3) ? 20 : 3,
    loss: chance(0.5) ? random.float() * 0.2 : 0,
    replay: chance(0.5) ? 0.05 : 0,
    diskMs: chance(0.5) ? random.float() * 8 : 0,
    faultEveryMs: between(100, 800),
    faults,
    bias: chance(0.6) ? random.float() * 0.3 : 0,
    clocks,
    changeEveryMs: changes ? between(100, 800) : 0,
    urgeEveryMs: chance(0.5) ? between(200, 1_000) : 0,
    requestEveryMs: between(10, 60),
    compactEveryMs: chance(0.7) ? between(100, 600) : 0,
  };
}
