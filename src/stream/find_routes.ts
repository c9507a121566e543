import { isConnectionId } from "../lib/ids.ts";
import type { Route, RouteDirectory } from "../router/contract.ts";

/** Where the connections are; those that nobody has, or that cannot be, are left out. `signal` ends the search. */
export async function findRoutes(
  directory: Pick<RouteDirectory, "lookup" | "resolve">,
  connectionIds: readonly string[],
  signal: AbortSignal,
): Promise<Map<string, Route>> {
  const routes = new Map<string, Route>();
  await Promise.all(
    connectionIds.filter(isConnectionId).map(async (id) => {
      const route = directory.lookup(id) ?? await directory.resolve(id, signal);
      if (route !== undefined) routes.set(id, route);
    }),
  );
  return routes;
}
