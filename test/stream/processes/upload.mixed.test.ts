/** `curl -T` to any node reaches a client of another one, at the client's pace. */
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { WebSocket } from "ws";
import { report } from "../../support/measure.ts";
import { RUNTIMES } from "../../support/runtimes.ts";
import { scale } from "../../support/scale.ts";
import { until } from "../../support/until.ts";
import { StreamFleet } from "./stream_fleet.ts";

const BYTES = scale(64, 1_024) * 1_048_576;
/**
 * What the way from curl to a client may hold in all. The kernel alone keeps up to 10 MiB for each of three sockets; the
 * rest are pipes, windows and lanes. Deno's HTTP server is an exception
 * where a body comes without its length: it reads ahead of a slow reader, about half a byte for each one read, for ever
 * (measured with a bare `Deno.serve`, 2.9.5). Whoever gives the length is spared that.
 */
const HELD_BYTES_MAX = 64 * 1_048_576;
/** Such a body is slow there, too. */
const UNBOUNDED_BYTES = Math.min(BYTES, 128 * 1_048_576);
const STANDSTILL_MS = 500;
const PATIENCE_MS = 170_000;

const hasCurl = spawnSync("curl", ["--version"]).status === 0;

let fleet: StreamFleet;
beforeAll(async () => {
  fleet = await StreamFleet.start();
}, PATIENCE_MS);
afterAll(() => fleet[Symbol.asyncDispose]());

/** Runs curl with an upload that is fed from here, at curl's pace. */
class Curl {
  readonly #child: ChildProcess;
  readonly #hash = createHash("sha256");
  /** Bytes that curl has taken. */
  taken = 0;
  readonly answer: Promise<string>;

  /** Tells the length in advance, if it is given, as `-T FILE` does. */
  constructor(url: string, length?: number) {
    const told = length === undefined ? [] : ["-H", `Content-Length: ${length}`, "-H", "Transfer-Encoding:"];
    this.#child = spawn("curl", ["--silent", "--show-error", ...told, "-T", "-", url], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    let output = "";
    this.#child.stdout?.on("data", (text) => output += String(text));
    this.answer = new Promise((resolve) => this.#child.on("close", () => resolve(output)));
    this.#child.stdin?.on("error", () => undefined);
  }

  async feed(bytes: number): Promise<void> {
    const block = new Uint8Array(65_536);
    for (let at = 0; at < bytes; at += block.byteLength) {
      crypto.getRandomValues(block);
      const piece = block.slice(0, bytes - at);
      this.#hash.update(piece);
      await new Promise<void>((resolve, reject) => {
        this.#child.stdin?.write(piece, (error) => error ? reject(error) : resolve());
      });
      this.taken += piece.byteLength;
    }
    this.#child.stdin?.end();
  }

  sha256(): string {
    return this.#hash.digest("hex");
  }
}

describe.skipIf(!hasCurl)("curl -T", () => {
  describe.each(RUNTIMES)("to a node on %s", (runtime) => {
    test.each([["with its length", true], ["without a length", false]] as const)(
      "%s goes as slowly as a client on another node, stops when it stops, and ends when it has all",
      async (how, tells) => {
        const isBounded = runtime !== "deno" || tells;
        const bytes = isBounded ? BYTES : UNBOUNDED_BYTES;
        const node = fleet.node(runtime);
        const owner = fleet.nodes[(fleet.nodes.indexOf(node) + 1) % fleet.nodes.length] ?? node;
        const id = `curl-${runtime}-${how.replaceAll(" ", "-")}`;
        // The ws package's, since it can stop reading.
        const client = new WebSocket(`ws://127.0.0.1:${owner.port}/ws?id=${id}`);
        const hash = createHash("sha256");
        let got = 0;
        client.on("message", (data: Uint8Array) => {
          hash.update(data);
          got += data.byteLength;
        });
        await new Promise((resolve) => client.once("open", resolve));
        await until("the node knows the client", () => node.knows(id));

        const curl = new Curl(`${node.url}/api/streams/${id}?delivery=chunks`, tells ? bytes : undefined);
        const feeding = curl.feed(bytes);
        await until("the client has some", () => got > bytes / 8, 60_000);
        client.pause();
        const gotBefore = got;
        let [taken, since] = [curl.taken, performance.now()];
        await until("curl stands still", () => {
          if (curl.taken !== taken) [taken, since] = [curl.taken, performance.now()];
          return performance.now() - since > STANDSTILL_MS;
        }, 30_000);
        expect(curl.taken).toBeLessThan(bytes);
        if (isBounded) expect(curl.taken - gotBefore).toBeLessThan(HELD_BYTES_MAX);
        client.resume();

        await feeding;
        expect(JSON.parse(await curl.answer)).toMatchObject({
          delivered: true,
          outcome: "delivered",
          bytes,
        });
        await until("the client has all", () => got === bytes, 10_000);
        expect(hash.digest("hex")).toBe(curl.sha256());
        client.close();
        report(`to ${runtime} ${how}`, { bytes, heldBytes: taken - gotBefore });
      },
      PATIENCE_MS,
    );

    test("to nobody is answered at once, with 404", async () => {
      const curl = new Curl(`${fleet.node(runtime).url}/api/streams/nobody`);
      const feeding = curl.feed(BYTES).catch(() => undefined);
      expect(JSON.parse(await curl.answer)).toMatchObject({
        delivered: false,
        outcome: "not-found",
        bytes: 0,
      });
      await feeding;
    }, PATIENCE_MS);
  });
});
