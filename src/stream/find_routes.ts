import type { Route, RouteDirectory } from "../router/contract.ts";
import type { LegTarget } from "./leg.ts";

/** Where the connections are; those that nobody has are left out. */
export async function findRoutes(
  directory: Pick<RouteDirectory, "lookup" | "resolve">,
  connectionIds: readonly string[],
): Promise<Map<string, Route>> {
  const routes = new Map<string, Route>();
  await Promise.all(connectionIds.map(async (id) => {
    const route = directory.lookup(id) ?? await directory.resolve(id);
    if (route !== undefined) routes.set(id, route);
  }));
  return routes;
}

/** The same by the nodes that have them. */
export function targetsByNode(routes: ReadonlyMap<string, Route>): Map<string, LegTarget[]> {
  const byNode = new Map<string, LegTarget[]>();
  for (const [connectionId, { nodeId, handle }] of routes) {
    const targets = byNode.get(nodeId);
    if (targets === undefined) byNode.set(nodeId, [{ connectionId, handle }]);
    else targets.push({ connectionId, handle });
  }
  return byNode;
}
