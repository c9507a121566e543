import type { ServedCluster } from "./serving.ts";

/** `GET /healthz`: the process answers. */
export function health(): Response {
  return Response.json({ status: "ok" });
}

/**
 * `GET /readyz`: whether clients should be sent here. Does not wait for a leader: messages flow without one.
 */
export function readiness(cluster: Pick<ServedCluster, "running" | "serving">): Response {
  const reasons: string[] = [];
  if (!cluster.running) reasons.push("the node is not running");
  else if (cluster.serving.turnAway("/", null) !== null) reasons.push("the node is leaving the cluster");
  if (reasons.length === 0) return Response.json({ status: "ready" });
  return Response.json({ status: "unready", reasons }, { status: 503 });
}
