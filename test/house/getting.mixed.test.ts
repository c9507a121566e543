/** Getting it: from a URL, from a fresh clone with one runtime and nothing else, and from npm. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import process from "node:process";
import { runChild, startChild } from "../support/child.ts";
import {
  emptyFolder,
  type Folder,
  freshClone,
  serveFolder,
  shareNodeModules,
  startOnTerminal,
} from "../support/getting.ts";
import { freePort } from "../support/free_port.ts";
import { commandFor, programOf, ROOT, RUNTIMES } from "../support/runtimes.ts";
import { until } from "../support/until.ts";

/** Downloads of packages are in it. */
const PATIENCE_MS = 60_000;

/** The system's programs and nothing of node_modules/.bin. */
const BARE_PATH = "/usr/bin:/bin";

/** What an importer would write: two nodes, a client of one, and a message handed to the other. */
const importerOf = (specifier: string): string =>
  `import { createCluster, serve } from "${specifier}";
const a = createCluster({ nodeId: "a" });
const served = await serve(a, { port: 0 });
await a.start();
const b = createCluster({ nodeId: "b", nodes: ["ws://127.0.0.1:" + served.port] });
const serving = await serve(b, { port: 0 });
const met = new Promise((resolve) => b.on("nodeup", resolve));
await b.start();
await met;
const client = new WebSocket("ws://127.0.0.1:" + served.port + "/ws?id=alice");
const heard = new Promise((resolve) => client.addEventListener("message", ({ data }) => resolve(data)));
await new Promise((resolve) => client.addEventListener("open", resolve));
console.log("routed", await b.routeText("alice", "hello"), await heard);
client.close();
for (const cluster of [b, a]) await cluster.shutdown();
for (const listener of [served, serving]) await listener.close();
`;

/** Polls until the node answers; the child's end or the deadline ends the wait. */
async function healthz(port: number, child: { readonly output: string }): Promise<number> {
  const deadline = performance.now() + PATIENCE_MS;
  while (performance.now() < deadline) {
    const answer = await fetch(`http://127.0.0.1:${port}/healthz`).catch(() => undefined);
    if (answer !== undefined) return answer.status;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  throw new Error(`/healthz did not answer within ${PATIENCE_MS} ms:\n${child.output}`);
}

describe("from a URL", () => {
  test("Deno runs a script that imports mod.ts, with no configuration of its own", async () => {
    await using repository = freshClone();
    await using web = await serveFolder(repository.path);
    await using importer = emptyFolder();
    const script = importer.write("script.ts", importerOf(`http://${web.host}/mod.ts`));
    const flags = ["run", "--no-prompt", "--allow-net", `--allow-import=${web.host}`];
    const ran = await runChild(programOf("deno"), [...flags, script], {
      cwd: importer.path,
      env: { PATH: BARE_PATH, DENO_DIR: join(importer.path, "cache") },
      timeoutMs: PATIENCE_MS,
    });
    expect(ran.output).toContain("routed true hello");
    expect(ran.code).toBe(0);
  }, PATIENCE_MS);
});

describe("a fresh clone", () => {
  test("serves on Deno alone", async () => {
    await using repository = freshClone();
    const port = await freePort();
    await using node = startChild(
      programOf("deno"),
      ["run", "-A", "examples/node.ts", "--port", String(port)],
      { cwd: repository.path, env: { PATH: BARE_PATH, DENO_DIR: join(repository.path, ".cache") } },
    );
    expect(await healthz(port, node)).toBe(200);
  }, PATIENCE_MS);

  test("serves on Bun alone", async () => {
    await using repository = freshClone();
    const port = await freePort();
    await using node = startChild(programOf("bun"), ["run", "examples/node.ts", "--port", String(port)], {
      cwd: repository.path,
      env: { PATH: BARE_PATH, BUN_INSTALL_CACHE_DIR: join(repository.path, ".cache") },
    });
    expect(await healthz(port, node)).toBe(200);
  }, PATIENCE_MS);

  test(
    "without permissions and without a terminal Deno ends with 1 and one line that gives the command",
    async () => {
      await using repository = freshClone();
      const ran = await runChild(programOf("deno"), ["run", "--quiet", "examples/node.ts", "--port", "1"], {
        cwd: repository.path,
        env: { PATH: BARE_PATH },
        timeoutMs: PATIENCE_MS,
      });
      expect(ran.code).toBe(1);
      expect(ran.output.trim().split("\n")).toHaveLength(1);
      expect(ran.output).toContain("deno run -A examples/node.ts");
    },
    PATIENCE_MS,
  );
});

test(
  "on a terminal Deno asks for the network, once, and for nothing more to reach another node",
  async () => {
    await using repository = freshClone();
    const [port, absent] = [await freePort(), await freePort()];
    const command = [programOf("deno"), "run", "examples/node.ts", "--port", String(port)];
    await using node = startOnTerminal([...command, "--nodes", `ws://127.0.0.1:${absent}`], {
      cwd: repository.path,
      env: { PATH: BARE_PATH, DENO_DIR: join(repository.path, ".cache") },
    });
    await until(
      "the node has dialled the other one",
      () => node.output.includes("a node's address is not reached"),
      PATIENCE_MS,
    );
    expect(await healthz(port, node)).toBe(200);
    expect(node.output).toContain("Deno requests net access");
    expect(node.questions).toBe(1);
  },
  PATIENCE_MS,
);

describe("the npm package", () => {
  let project: Folder;
  let script: string;

  beforeAll(async () => {
    project = emptyFolder();
    await using repository = freshClone();
    const tarball = pack(repository, project);
    project.write("package.json", JSON.stringify({ name: "project", private: true, type: "module" }));
    // How loud it is must not come from how these tests were started.
    const npm = ["install", "--loglevel=notice", "--no-audit", "--no-fund", "--prefer-offline", tarball];
    const installed = await runChild("npm", npm, { cwd: project.path, timeoutMs: PATIENCE_MS });
    expect(installed.output).toContain("added");
    script = project.write("script.mjs", importerOf("flotilla"));
  }, PATIENCE_MS);
  afterAll(() => project[Symbol.asyncDispose]());

  test.each(RUNTIMES)("runs on %s", async (runtime) => {
    const ran = await runChild(...commandFor(runtime, script), { cwd: project.path, timeoutMs: PATIENCE_MS });
    expect(ran.output.trim()).toBe("routed true hello");
    expect(ran.code).toBe(0);
  }, PATIENCE_MS);

  test("brings its types", async () => {
    expect(await typeErrors(project, importerOf("flotilla"))).toBe("");
    const wrong = importerOf("flotilla").replace('"a"', "1");
    expect(await typeErrors(project, wrong)).toContain("Type 'number' is not assignable to type 'string'");
  }, PATIENCE_MS);

  test("says in one sentence which Node it needs", async () => {
    for (const { command, args, version } of oldNodes(project)) {
      const ran = await runChild(command, [...args, script], { cwd: project.path, timeoutMs: PATIENCE_MS });
      expect(ran.code).toBe(1);
      const sentence = `flotilla needs Node ${nodeNeeded} or later, and this is Node ${version}.`;
      expect(ran.output.split("\n").filter((line) => line === `Error: ${sentence}`)).toHaveLength(1);
    }
  }, PATIENCE_MS);
});

const manifest = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8")) as {
  engines: { node: string };
};
const nodeNeeded = manifest.engines.node.replace(">=", "");

/** Packs the clone into `into`; returns the tarball's path. */
function pack(repository: Folder, into: Folder): string {
  shareNodeModules(repository);
  const said = execFileSync("npm", ["pack", "--json", "--pack-destination", into.path], {
    cwd: repository.path,
    encoding: "utf8",
    stdio: ["ignore", "pipe", "pipe"],
  });
  const name = /"filename":\s*"([^"]+)"/.exec(said)?.[1];
  if (name === undefined) throw new Error(`npm pack named no file: ${said}`);
  return join(into.path, name);
}

/** What tsc says of a strict program in `project`. */
async function typeErrors(project: Folder, source: string): Promise<string> {
  const file = project.write("typed.ts", source);
  const options = ["--strict", "--noEmit", "--skipLibCheck", "--target", "esnext", "--module", "nodenext"];
  const lib = ["--lib", "esnext,dom", "--types", ""];
  const ran = await runChild(programOf("tsc"), [...options, ...lib, "--ignoreConfig", file], {
    cwd: project.path,
    timeoutMs: PATIENCE_MS,
  });
  return ran.output;
}

/** A Node that says it is 20, and the system's own where that is older than what we need. */
function oldNodes(project: Folder): { command: string; args: string[]; version: string }[] {
  const pretend = project.write(
    "pretend.mjs",
    `Object.defineProperty(process, "versions", { value: { ...process.versions, node: "20.1.0" } });\n`,
  );
  const old = [{ command: programOf("node"), args: ["--import", pretend], version: "20.1.0" }];
  for (const folder of (process.env["PATH"] ?? "").split(":")) {
    const command = join(folder, "node");
    if (folder.includes("node_modules") || !existsSync(command)) continue;
    const version = execFileSync(command, ["--version"], { encoding: "utf8" }).trim().replace(/^v/, "");
    if (Number(version.split(".")[0]) < 22) old.push({ command, args: [], version });
  }
  return old;
}
