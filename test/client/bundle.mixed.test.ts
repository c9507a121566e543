/** The client as browsers load it: one file. */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import { runChild } from "../support/child.ts";
import { report } from "../support/measure.ts";
import { programOf, ROOT } from "../support/runtimes.ts";
import { importsOf } from "../support/source.ts";
import { until } from "../support/until.ts";
import { joined, pattern } from "./fake_node.ts";
import { RealNode } from "./real_node.ts";

const GZIPPED_BYTES_MAX = 10_000;

const folder = mkdtempSync(join(tmpdir(), "flotilla-client-"));
const file = join(folder, "client.js");
beforeAll(async () => {
  await runChild(programOf("bun"), [join(ROOT, "scripts/client_bundle.mjs"), file]);
});
afterAll(() => rmSync(folder, { recursive: true }));

describe("the client's bundle", () => {
  test("imports nothing", () => {
    const source = readFileSync(file, "utf8");
    expect(importsOf(source)).toEqual([]);
    expect(source).not.toMatch(/\bimport\b|npm:|require\(/);
  });

  test("has at most 10 kB, gzipped", () => {
    const bytes = readFileSync(file);
    const gzippedBytes = gzipSync(bytes, { level: 9 }).byteLength;
    report("client bundle", { bytes: bytes.byteLength, gzippedBytes });
    expect(gzippedBytes).toBeLessThan(GZIPPED_BYTES_MAX);
  });

  test("is a client that verifies streams", async () => {
    const { connect }: typeof import("../../src/client/mod.ts") = await import(pathToFileURL(file).href);
    const node = await RealNode.start();
    const client = await connect(node.urlOf());
    const heard: unknown[] = [];
    client.on("message", (data) => void heard.push(data));
    client.on("stream", async (stream) => void heard.push(await stream.bytes()));
    client.send("hello");
    const payloads = [pattern(70_000), pattern(5, 2)];
    await node.latest.stream(1, payloads);
    await until("both are there", () => heard.length === 2);
    expect(heard).toContain("hello");
    expect(heard).toContainEqual(joined(payloads));
    expect(node.latest.has("finished", 1)).toBe(true);
    client.close();
    await client.closed;
    await node.close();
  });
});
