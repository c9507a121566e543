/**
 * `npm run bench -- leaving`: clients of the SDK over three nodes of three runtimes, under steady numbered traffic, while
 * each node in turn leaves and comes back: how long it takes, what the clients notice, what becomes of the messages.
 * For Node. Options:
 *   --clients N    over all nodes (default 10,000)
 */
import { loadavg } from "node:os";
import process from "node:process";
import { parseArgs } from "node:util";
import { type Account, LeavingFleet, type LeavingNode } from "../../test/processes/leaving/leaving_fleet.ts";
import { WS_MESH } from "../../test/support/meshes.ts";
import { RUNTIMES } from "../../test/support/runtimes.ts";
import { until } from "../../test/support/until.ts";
import { wholeNumber } from "../support/arguments.ts";
import { provenance, ranOn, writeResults, writeSection } from "../support/results.ts";

const NAME = "leaving";
const MOVE_MS = 60_000;
const RATE_MS = 100;
/** Each client gets a message a second. */
const TRAFFIC = { everyMs: 20, rounds: 50 };

interface Leaving {
  readonly node: string;
  readonly clients: number;
  /** From the signal until all of its clients were seen elsewhere. */
  readonly movedMs: number;
  /** Until the process had ended. */
  readonly leftMs: number;
  /** Clients a second that came to one node, at most, over 100 ms. */
  readonly peakArrivals: number;
}

const { values } = parseArgs({ options: { clients: { type: "string", default: "10000" } } });
const clients = wholeNumber("--clients", values.clients);

await using fleet = await LeavingFleet.start(WS_MESH, RUNTIMES);
await fleet.connect(clients);
console.log(`${clients} clients on ${fleet.nodes.length} nodes`);
fleet.send(TRAFFIC);
const leavings: Leaving[] = [];
for (const node of fleet.nodes) {
  const leaving = await leave(node);
  leavings.push(leaving);
  console.log(leaving);
  await node.start(fleet.others(node));
  await fleet.whole();
}
await until("all clients are connected", () => fleet.connected === clients, MOVE_MS);
keep(await fleet.account());

async function leave(node: LeavingNode): Promise<Leaving> {
  const others = fleet.others(node);
  const count = fleet.countOn([node]);
  let peak = 0;
  let before = others.map((other) => fleet.countOn([other]));
  const sampling = setInterval(() => {
    const now = others.map((other) => fleet.countOn([other]));
    now.forEach((value, index) => peak = Math.max(peak, value - (before[index] ?? 0)));
    before = now;
  }, RATE_MS);
  const startedAt = performance.now();
  const left = node.leave();
  await until("all clients are elsewhere", () => fleet.countOn(others) === clients, MOVE_MS);
  const movedMs = performance.now() - startedAt;
  clearInterval(sampling);
  return {
    node: node.runtime,
    clients: count,
    movedMs: Math.round(movedMs),
    leftMs: Math.round(await left),
    peakArrivals: peak * (1_000 / RATE_MS),
  };
}

function keep(account: Account): void {
  const source = provenance();
  const load = loadavg()[0] ?? 0;
  console.log(account);
  writeResults(NAME, { ...source, load, clients, traffic: TRAFFIC, leavings, account });
  const { delivered = 0, ...others } = account.outcomes;
  const lines = leavings.map(({ node, clients, movedMs, leftMs, peakArrivals }) =>
    `| ${node} | ${clients} | ${(movedMs / 1_000).toFixed(1)} | ${
      (leftMs / 1_000).toFixed(1)
    } | ${peakArrivals} |`
  );
  const rest = Object.entries(others).map(([outcome, count]) => `${count} ${outcome}`).join(", ") || "none";
  writeSection(
    NAME,
    `## Leaving

${clients} clients of the SDK, all in one process that also routes ${
      1_000 / TRAFFIC.everyMs * clients / TRAFFIC.rounds
    } numbered messages a second to
them, over three nodes that leave and come back one after another. Aims: 3,300 clients moved in 5 s, no client without
a connection for longer than 1 s.

| node that left | its clients | moved, s | process ended, s | most arrivals a second at one node |
| --- | ---: | ---: | ---: | ---: |
${lines.join("\n")}

The worst gap that a client saw: ${
      account.worstGapMs.toFixed(0)
    } ms. Of the messages ${delivered} were delivered; ${rest}. Reported as
delivered and not received: ${account.falselyDelivered}; received twice: ${account.repeated}; out of order: ${account.reordered}.

${ranOn(source, RUNTIMES)}; load ${load.toFixed(1)}.`,
  );
  process.exitCode = account.falselyDelivered + account.repeated + account.reordered === 0 ? 0 : 1;
}
