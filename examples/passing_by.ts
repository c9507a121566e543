/** A node that only passes by: it has no clients, and no part in what the others agree on. */
import { type ClusterManager, createCluster } from "../mod.ts";

const MEET_MS = 5_000;

/** Joins the cluster of `nodes` (by commas); resolves when it has met one of them. */
export async function passBy(
  name: string,
  nodes: string,
  secret: string | undefined,
): Promise<ClusterManager> {
  const nodeId = `${name}-${crypto.randomUUID().slice(0, 8)}`;
  const cluster = createCluster({ nodeId, nodes: nodes.split(","), secret, raft: false });
  const met = Promise.withResolvers<void>();
  const timer = setTimeout(() => met.reject(new Error(`none of ${nodes} answers`)), MEET_MS);
  cluster.on("nodeup", () => met.resolve());
  await cluster.start();
  try {
    await met.promise;
    return cluster;
  } catch (thrown) {
    await cluster.shutdown({ force: true });
    throw thrown;
  } finally {
    clearTimeout(timer);
  }
}
