/** The examples that stream, as processes on each runtime. */
import { createHash } from "node:crypto";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import http from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { type Child, runChild, startChild } from "../../support/child.ts";
import { commandFor, ROOT, RUNTIMES } from "../../support/runtimes.ts";
import { until } from "../../support/until.ts";

const BYTES = 5_000_001;
const PATIENCE_MS = 60_000;

let folder: string;
let file: string;
let node: Child;
let url: string;
let pages: http.Server;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "flotilla-"));
  file = join(folder, "random.bin");
  const data = new Uint8Array(BYTES);
  for (let at = 0; at < BYTES; at += 65_536) crypto.getRandomValues(data.subarray(at, at + 65_536));
  await writeFile(file, data);
  node = startChild(...commandFor("node", `${ROOT}/examples/node.ts`, ["--id", "a", "--port", "0"]));
  const [, port] = await node.waitFor(/^listening on http:\/\/127\.0\.0\.1:(\d+) as a$/m);
  url = `ws://127.0.0.1:${port}`;
  pages = http.createServer(async (request, response) => {
    if (request.url === "/random.bin") response.end(await readFile(file));
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => pages.listen(0, "127.0.0.1", resolve));
}, PATIENCE_MS);
afterAll(async () => {
  pages.close();
  await node.kill();
  await rm(folder, { recursive: true });
});

/** A client, and the SHA-256 of all that it was sent. */
async function client(id: string): Promise<{ socket: WebSocket; sha256: () => string; bytes: () => number }> {
  const socket = new WebSocket(`${url}/ws?id=${id}`);
  socket.binaryType = "arraybuffer";
  const hash = createHash("sha256");
  let bytes = 0;
  socket.onmessage = ({ data }) => {
    hash.update(new Uint8Array(data));
    bytes += data.byteLength;
  };
  await new Promise((resolve) => socket.onopen = resolve);
  return { socket, sha256: () => hash.digest("hex"), bytes: () => bytes };
}

describe.each(RUNTIMES)("on %s", (runtime) => {
  test("a file is sent to a client of another node, with a progress bar", async () => {
    const { socket, sha256, bytes } = await client(`file-${runtime}`);
    const args = [file, `file-${runtime}`, "--nodes", url];
    const [command, all] = commandFor(runtime, `${ROOT}/examples/send_file.ts`, args);
    const { code, output } = await runChild(command, all, { timeoutMs: PATIENCE_MS });
    expect(output).toContain(`delivered: ${BYTES} bytes`);
    expect(code).toBe(0);
    await until("all is there", () => bytes() === BYTES);
    expect(sha256()).toBe(createHash("sha256").update(await readFile(file)).digest("hex"));
    socket.close();
  }, PATIENCE_MS);

  test("to a client that is not there says so and ends with 1", async () => {
    const [command, all] = commandFor(runtime, `${ROOT}/examples/send_file.ts`, [
      file,
      "nobody",
      "--nodes",
      url,
    ]);
    const { code, output } = await runChild(command, all, { timeoutMs: PATIENCE_MS });
    expect(output).toContain("not-found: 0 bytes");
    expect(code).toBe(1);
  }, PATIENCE_MS);

  test("what a URL answers is piped to a client", async () => {
    const { socket, sha256, bytes } = await client(`fetch-${runtime}`);
    const from = `http://127.0.0.1:${(pages.address() as AddressInfo).port}/random.bin`;
    const args = [from, `fetch-${runtime}`, "--nodes", url];
    const [command, all] = commandFor(runtime, `${ROOT}/examples/pipe_fetch.ts`, args);
    const { code, output } = await runChild(command, all, { timeoutMs: PATIENCE_MS });
    expect(output).toContain(`${BYTES} bytes in`);
    expect(code).toBe(0);
    await until("all is there", () => bytes() === BYTES);
    expect(sha256()).toBe(createHash("sha256").update(await readFile(file)).digest("hex"));
    socket.close();
  }, PATIENCE_MS);
});
