/**
 * `npm run simulate -- --seconds N [--seed FIRST]`: seeds one after the other, until time is up or one fails.
 * `npm run simulate -- --seed SEED --trace`: one seed, with everything that happens in it.
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { simulate } from "./simulate.ts";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    seed: { type: "string", default: "1" },
    trace: { type: "boolean", default: false },
  },
});
const seconds = Number(values.seconds), first = Number(values.seed);
if (!(seconds > 0)) throw new Error(`--seconds ${values.seconds}: must be a number above 0`);
if (!Number.isSafeInteger(first)) throw new Error(`--seed ${values.seed}: must be a whole number`);

const say = (line: string): void => void process.stdout.write(`${line}\n`);
if (values.trace) {
  const outcome = simulate(first, undefined, say);
  say(JSON.stringify(outcome));
  process.exitCode = outcome.failure === undefined ? 0 : 1;
} else {
  const start = performance.now();
  let steps = 0, committed = 0, recovered = 0, seeds = 0;
  const elapsed = (): number => (performance.now() - start) / 1_000;
  for (let seed = first; elapsed() < seconds; seed++) {
    const outcome = simulate(seed);
    seeds++;
    steps += outcome.steps;
    committed += outcome.committed;
    recovered += outcome.recovered ? 1 : 0;
    if (outcome.failure !== undefined) {
      say(`seed ${seed}: ${outcome.failure}`);
      say(`npm run simulate -- --seed ${seed} --trace`);
      process.exitCode = 1;
      break;
    }
  }
  const perSecond = Math.round(steps / elapsed());
  say(`${seeds} seeds from ${first}, ${recovered} recovered; ${steps} steps, ${committed} entries committed`);
  say(`${elapsed().toFixed(1)} s, ${perSecond} steps a second`);
}
