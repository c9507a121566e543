import type { Route, RouteDirectory } from "../router/contract.ts";

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
