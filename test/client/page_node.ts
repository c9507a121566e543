/** A node that web pages of any origin may use: prints `ready PORT` and what it hears; moves its clients on SIGTERM. */
import process from "node:process";
import { createCluster, serve } from "../../mod.ts";

const [nodes = ""] = process.argv.slice(2);
const cluster = createCluster({ nodeId: "near", nodes: [nodes], raft: false });
const listener = await serve(cluster, {
  port: 0,
  origins: "*",
  onMessage: (_, data) => void process.stdout.write(`heard ${String(data)}\n`),
});
await cluster.start();
process.stdout.write(`ready ${listener.port}\n`);
process.once("SIGTERM", async () => {
  const { moved } = await cluster.shutdown();
  await listener.close();
  process.stdout.write(`moved ${moved}\n`);
  process.exit(0);
});
