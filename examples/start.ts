/**
 * What `npm start` shows: three nodes on this machine, one on each runtime, as one cluster. Clients on each, a
 * message from every node to every client, a batch, a long stream; then a state that all agree on, the leader killed while clients
 * write, noticed, replaced, and back, with no write lost; and a node that leaves while its clients move. Then it serves until Ctrl-C.
 *
 *     npm start               npm start -- --once     ends by itself: 0 only if all of it held
 *     npm start -- --once --block deno,node           with the link between two nodes blocked on purpose
 */
import process from "node:process";
import { parseArgs } from "node:util";
import { Demo, type DemoNode, RUNTIMES } from "./start_nodes.ts";
import { Visitors } from "./start_leaving.ts";
import { mebibytes, streamAcross } from "./start_stream.ts";
import { Writes } from "./start_writes.ts";

/** How long the others may take to notice a killed node and forget its connections: the default peer timeout and some. */
const NOTICE_MS = 8_000;
/** How long nodes may take to meet, or to elect a leader. */
const MEET_MS = 10_000;
const MESSAGE_MS = 5_000;
const VISITORS = 300;
const STREAM_BYTES = 256 * 1_048_576;

const { values } = parseArgs({
  options: {
    once: { type: "boolean", default: false },
    block: { type: "string" },
  },
});
const demo = new Demo(values.block?.split(",") ?? []);
process.on("SIGINT", () => void demo.stop().then(() => process.exit(0)));
process.on("SIGTERM", () => void demo.stop().then(() => process.exit(0)));

try {
  await show();
  console.log("\nAll of it held.");
  if (!values.once) {
    console.log("\nServing until Ctrl-C. Try, from another terminal:");
    const [first, last] = [demo.nodes[0] as DemoNode, demo.nodes[2] as DemoNode];
    console.log(`  curl ${first.url}/api/cluster`);
    console.log(
      `  curl -d 'hello' -H 'content-type: text/plain' ${first.url}/api/messages/client-on-${last.name}`,
    );
    await new Promise(() => {});
  }
} catch (thrown) {
  console.error(`\nThis did not hold: ${thrown instanceof Error ? thrown.message : thrown}`);
  process.exitCode = 1;
} finally {
  if (values.once || process.exitCode === 1) await demo.stop();
}

async function show(): Promise<void> {
  heading("Three nodes, one on each runtime");
  for (const runtime of RUNTIMES) await demo.startNode(runtime);
  const meetMs = await demo.until("every node is up for every other", MEET_MS, () => demo.isWhole());
  for (const node of demo.nodes) console.log(`  ${node.name.padEnd(5)} ${node.url}   process ${node.pid}`);
  console.log(`  one cluster after ${meetMs.toFixed(0)} ms`);

  heading("A client on each node, and a message from every node to every client (ms to arrive)");
  for (const node of demo.nodes) await demo.connect(node);
  await demo.until("every node knows every connection", MEET_MS, () => demo.knowsAll(demo.nodes));
  await everyPair(demo.nodes);

  heading("One batch, handed to one node, for all clients and somebody who is not there");
  const first = demo.nodes[0] as DemoNode;
  const ids = [...demo.nodes.map((node) => node.clientId), "nobody"];
  const results = await first.sendBatch(ids, "to all of you");
  for (const [id, outcome] of Object.entries(results)) console.log(`  ${id.padEnd(16)} ${outcome}`);
  expect(
    ids.every((id) => results[id] === (id === "nobody" ? "not-found" : "delivered")),
    "the batch reached everyone it could",
  );

  heading(`${mebibytes(STREAM_BYTES)} from each node to the client of the next, in chunks`);
  for (const [index, from] of demo.nodes.entries()) {
    await stream(from, demo.nodes[(index + 1) % demo.nodes.length] as DemoNode);
  }

  heading("One of them leads; what is written to any of them is on all");
  const electMs = await demo.until(
    "all know one leader",
    MEET_MS,
    async () => await demo.leader() !== undefined,
  );
  const victim = await demo.leader() as DemoNode;
  console.log(`  the node on ${victim.name} leads (known to all after another ${electMs.toFixed(0)} ms)`);
  const writes = new Writes(demo);
  for (const node of demo.nodes) await writes.write(node);
  await writes.check(demo.nodes);
  console.log(`  ${writes.acknowledged} writes, one to each node; each reads all of them`);

  heading(`The leader, the node on ${victim.name}, is killed while clients write`);
  const others = demo.nodes.filter((node) => node !== victim);
  const going = writes.goOn(others);
  await demo.pause(200);
  const before = writes.acknowledged;
  victim.kill();
  const gapMs = await demo.until(
    "a write is acknowledged again",
    MEET_MS,
    async () => await writes.isBeyond(before),
  );
  await demo.until(
    "the others know one leader",
    MEET_MS,
    async () => await demo.leader(others) !== undefined,
  );
  await writes.stop(going);
  console.log(`  writes went on after ${gapMs.toFixed(0)} ms; ${(await demo.leader(others))?.name} leads`);
  await writes.check(others);
  console.log(`  ${writes.acknowledged} writes were acknowledged so far, and none is lost`);

  heading(`The clients of the node on ${victim.name} are gone`);
  const noticeMs = await demo.until(
    "the others notice and forget its connections",
    NOTICE_MS,
    () => demo.forgot(victim, others),
  );
  console.log(`  noticed, and its connections forgotten, after ${noticeMs.toFixed(0)} ms`);
  const { outcome } = await first.send(victim.clientId, "are you there?");
  console.log(`  a message to its client: ${outcome}`);
  expect(outcome === "not-found", "a message to a client that is gone says so");
  await everyPair(others);

  heading(`The node on ${victim.name} is started again`);
  await demo.restart(victim);
  await demo.connect(victim);
  const healedMs = await demo.until(
    "the cluster and its directory are whole",
    MEET_MS,
    async () => await demo.isWhole() && await demo.knowsAll(demo.nodes),
  );
  console.log(`  whole again after ${healedMs.toFixed(0)} ms`);
  await everyPair(demo.nodes);
  await demo.until("all know one leader", MEET_MS, async () => await demo.leader() !== undefined);
  await writes.check(demo.nodes);
  console.log(`  and it, too, reads all ${writes.acknowledged} writes`);

  heading(`The node on ${victim.name} leaves, as on a deploy, with ${VISITORS} clients of the SDK`);
  const visitors = new Visitors();
  const leaving = demo.nodes.find(({ name }) => name === victim.name) as DemoNode;
  leaving.disconnect();
  await visitors.come(leaving, VISITORS);
  const { lines } = await visitors.watch(demo, leaving);
  for (const line of lines) console.log(line);
  visitors.leave();
  await demo.restart(leaving);
  await demo.connect(leaving);
}

async function everyPair(nodes: readonly DemoNode[]): Promise<void> {
  console.log(`  ${"from \\ to".padEnd(10)}${nodes.map(({ name }) => name.padStart(8)).join("")}`);
  for (const from of nodes) {
    const times: string[] = [];
    for (const to of nodes) {
      const text = `${from.name} to ${to.name} at ${performance.now()}`;
      const sentAt = performance.now();
      const arrived = to.awaitMessage(text, MESSAGE_MS);
      const { outcome } = await from.send(to.clientId, text);
      expect(
        outcome === "delivered",
        `a message from ${from.name} to the client on ${to.name} is delivered, not ${outcome}`,
      );
      times.push((await arrived - sentAt).toFixed(1).padStart(8));
    }
    console.log(`  ${from.name.padEnd(10)}${times.join("")}`);
  }
}

async function stream(from: DemoNode, to: DemoNode): Promise<void> {
  const { outcome, sentBytes, receivedBytes, ms, grownBytes } = await streamAcross(from, to, STREAM_BYTES);
  const [sender, owner] = grownBytes.map(mebibytes);
  console.log(
    `  ${from.name.padEnd(5)} to ${to.name.padEnd(5)}${outcome}, ${mebibytes(receivedBytes)} in ` +
      `${(ms / 1_000).toFixed(1)} s (${(receivedBytes / 1e3 / ms).toFixed(0)} MB/s); ` +
      `memory grew by ${sender} and ${owner}`,
  );
  expect(outcome === "delivered", `the stream from ${from.name} to ${to.name} is delivered, not ${outcome}`);
  expect(
    sentBytes === STREAM_BYTES && receivedBytes === STREAM_BYTES,
    `all ${STREAM_BYTES} bytes of the stream from ${from.name} to ${to.name} arrive, not ${receivedBytes}`,
  );
}

function heading(text: string): void {
  console.log(`\n${text}`);
}

function expect(held: boolean, what: string): void {
  if (!held) throw new Error(what);
}
