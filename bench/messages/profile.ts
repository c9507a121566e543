/** Where the time of sender and owner goes, a message, at full throughput. */
import { mkdirSync, readdirSync } from "node:fs";
import process from "node:process";
import type { Runtime } from "../../test/support/runtimes.ts";
import { describeProfile } from "../support/cpu_profile.ts";
import { type Plan, Trial } from "./trial.ts";

export interface ProfileOptions {
  readonly sender: Runtime;
  readonly owner: Runtime;
  readonly plan: Plan;
  /** Where the profiles go; each also opens in a browser's developer tools. */
  readonly folder: string;
}

const PROFILED_MS = 4_000;
const WARM_UP_ROUNDS = 1;

export async function profile({ sender, owner, plan, folder }: ProfileOptions): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const name = `${sender}-${owner}`;
  const busy: Plan = { ...plan, throughputMs: PROFILED_MS, pacedMessages: 1 };
  const flags = (role: string): readonly string[] =>
    role === "clients"
      ? []
      : ["--cpu-prof", `--cpu-prof-dir=${folder}`, `--cpu-prof-name=${name}-${role}.cpuprofile`];
  let perSecond = 0;
  {
    await using trial = await Trial.start({
      contender: "flotilla",
      sender,
      owner,
      plan: busy,
      setup: { redisUrl: null },
      flags,
    });
    for (let number = 0; number < WARM_UP_ROUNDS; number++) await trial.round();
    ({ messagesPerSecond: perSecond } = await trial.round());
  }
  process.stdout.write(`\n${sender} > ${owner}: ${Math.round(perSecond)} messages/s under the profiler\n`);
  for (const file of readdirSync(folder).filter((each) => each.startsWith(name)).sort()) {
    process.stdout.write(`\n${describeProfile(`${folder}/${file}`)}\n`);
  }
}
