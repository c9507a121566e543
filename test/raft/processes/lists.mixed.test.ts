/** Real nodes whose lists of each other differ or overlap: there are never two clusters that both take writes. */
import { describe, expect, test } from "bun:test";
import { freePort } from "../../support/free_port.ts";
import { RUNTIMES } from "../../support/runtimes.ts";
import { until } from "../../support/until.ts";
import { StateNode } from "./state_fleet.ts";

const PATIENCE_MS = 90_000;
const START_MS = 30_000;

/** Which of the others each node lists. */
type Lists = Readonly<Record<string, readonly string[]>>;

async function started(lists: Lists): Promise<StateNode[]> {
  const ports = new Map<string, number>();
  for (const name of new Set(Object.entries(lists).flat(2))) ports.set(name, await freePort());
  const urlOf = (name: string): string => `ws://127.0.0.1:${ports.get(name)}`;
  const nodes = Object.entries(lists).map(([nodeId, others], index) =>
    new StateNode({
      nodeId,
      runtime: RUNTIMES[index % RUNTIMES.length] ?? "node",
      port: ports.get(nodeId) as number,
      dataDir: undefined,
      flags: others.length === 0 ? [] : ["--nodes", others.map(urlOf).join(",")],
    })
  );
  await Promise.all(nodes.map((node) => node.start()));
  return nodes;
}

async function withNodes(lists: Lists, act: (nodes: StateNode[]) => Promise<void>): Promise<void> {
  const nodes = await started(lists);
  try {
    await act(nodes);
  } finally {
    await Promise.all(nodes.map((node) => node.kill()));
  }
}

async function write(node: StateNode): Promise<{ status: number; message: string }> {
  const response = await fetch(`${node.url}/api/state/k`, {
    method: "PUT",
    body: node.nodeId,
    signal: AbortSignal.timeout(START_MS),
  });
  const body = await response.json() as { error?: { message: string } };
  return { status: response.status, message: body.error?.message ?? "" };
}

describe("real nodes with different lists", () => {
  const refused: readonly [string, Lists][] = [
    ["a longer one", { a: ["b"], b: ["a", "c"] }],
    ["a third one that nobody else has", { a: ["b"], b: ["a"].concat("x"), c: ["a", "b"] }],
  ];
  test.each([...refused])("refuse writes and say which lists differ: %s", async (_name, lists) => {
    await withNodes(lists, async (nodes) => {
      await until("all say which lists differ", async () => {
        const views = await Promise.all(nodes.map((node) => node.view()));
        return views.every((view) => view?.raft.reason?.includes("node lists differ: ") === true);
      }, START_MS);
      for (const node of nodes) {
        const { status, message } = await write(node);
        expect(status).toBe(503);
        expect(message).toContain("node lists differ: ");
      }
    });
  }, PATIENCE_MS);

  const joined: readonly [string, Lists][] = [
    ["the first alone, the others list it", { a: [], b: ["a"], c: ["a", "b"] }],
    ["each lists those before it, and all start at once", { a: [], b: ["a"], c: ["b"] }],
    ["two that list each other and a third that lists one", { a: ["b"], b: ["a"], c: ["b"] }],
  ];
  test.each([...joined])("become one cluster: %s", async (_name, lists) => {
    await withNodes(lists, async (nodes) => {
      await until("all know one leader", async () => {
        const views = await Promise.all(nodes.map((node) => node.view()));
        const leaders = new Set(views.map((view) => view?.leaderId ?? null));
        return leaders.size === 1 && !leaders.has(null) &&
          views.filter((view) => view?.role === "leader").length === 1;
      }, START_MS);
      for (const node of nodes) expect((await write(node)).status).toBe(200);
    });
  }, PATIENCE_MS);
});
