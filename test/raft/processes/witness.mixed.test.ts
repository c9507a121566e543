/** `examples/witness.ts` as a process, on each runtime, beside two real nodes. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "bun:test";
import type { ClusterView } from "../../../src/cluster/contract.ts";
import { type Child, startChild } from "../../support/child.ts";
import { freePort } from "../../support/free_port.ts";
import { commandFor, ROOT, type Runtime, RUNTIMES } from "../../support/runtimes.ts";
import { until } from "../../support/until.ts";

const PATIENCE_MS = 60_000;
const folder = mkdtempSync(join(tmpdir(), "flotilla-witness-"));

class Process {
  readonly #command: [string, string[]];
  readonly url: string;
  child: Child | undefined;

  constructor(command: [string, string[]], port: number) {
    this.#command = command;
    this.url = `http://127.0.0.1:${port}`;
  }

  async start(): Promise<void> {
    const [command, args] = this.#command;
    this.child = startChild(command, args, { cwd: ROOT });
    await this.child.waitFor(/^listening on /m);
  }

  async kill(): Promise<void> {
    await this.child?.kill();
    this.child = undefined;
  }

  async view(): Promise<ClusterView> {
    return await (await fetch(`${this.url}/api/cluster`)).json() as ClusterView;
  }

  async put(key: string, value: string): Promise<number> {
    const signal = AbortSignal.timeout(10_000);
    return (await fetch(`${this.url}/api/state/${key}`, { method: "PUT", body: value, signal })).status;
  }

  async get(key: string): Promise<string> {
    return await (await fetch(`${this.url}/api/state/${key}`)).text();
  }
}

const processes: Process[] = [];
afterEach(async () => {
  await Promise.all(processes.splice(0).map((each) => each.kill()));
  rmSync(folder, { recursive: true, force: true });
});

async function fleet(runtimes: Readonly<Record<string, Runtime>>): Promise<Map<string, Process>> {
  const ports = new Map<string, number>();
  for (const id of Object.keys(runtimes)) ports.set(id, await freePort());
  const found = new Map<string, Process>();
  for (const [id, runtime] of Object.entries(runtimes)) {
    const nodes = [...ports].filter(([other]) => other !== id).map(([other, port]) =>
      `${other}@127.0.0.1:${port}`
    );
    const flags = [
      "--id",
      id,
      "--port",
      String(ports.get(id)),
      "--nodes",
      nodes.join(","),
      "--data-dir",
      folder,
    ];
    const file = `${ROOT}/examples/${id === "w" ? "witness" : "node"}.ts`;
    const each = new Process(commandFor(runtime, file, flags), ports.get(id) as number);
    found.set(id, each);
    processes.push(each);
  }
  await Promise.all(processes.map((each) => each.start()));
  return found;
}

describe.each(RUNTIMES)("a witness on %s", (runtime) => {
  test("lets the other node go on when the leader is killed, also after it was killed itself", async () => {
    const others = RUNTIMES.filter((other) => other !== runtime) as [Runtime, Runtime];
    const found = await fleet({ a: others[0], b: others[1], w: runtime });
    const [a, b, w] = [...found.values()] as [Process, Process, Process];
    const led = async (...nodes: Process[]): Promise<Process> => {
      let leaderId: string | null = null;
      await until("there is a leader", async () => {
        const views = await Promise.all(nodes.map((node) => node.view().catch(() => undefined)));
        leaderId = views[0]?.leaderId ?? null;
        return leaderId !== null && views.every((view) => view?.leaderId === leaderId) &&
          nodes.some((node) => node === found.get(leaderId as string));
      }, 20_000);
      return found.get(leaderId as unknown as string) as Process;
    };
    let leader = await led(a, b, w);
    expect(await w.view()).toMatchObject({ role: "witness", raft: { status: "on" } });
    expect(await leader.put("k", "1")).toBe(200);
    await w.kill();
    expect(await leader.put("k", "2")).toBe(200);
    await w.start();
    leader = await led(a, b, w);
    // What it noted is behind now; the leader's next entry brings it up.
    expect(await leader.put("k", "3")).toBe(200);
    await leader.kill();
    const other = leader === a ? b : a;
    expect(await led(other, w)).toBe(other);
    expect(await other.get("k")).toBe("3");
    expect(await other.put("k", "4")).toBe(200);
    await leader.start();
    await led(a, b, w);
    await until("the one that was away has it", async () => await leader.get("k") === "4", 20_000);
  }, PATIENCE_MS);
});
