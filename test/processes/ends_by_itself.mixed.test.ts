/** A node that stops lets its process end, whatever its clients have left undone. */
import net from "node:net";
import { describe, expect, test } from "bun:test";
import { RUNTIMES } from "../support/runtimes.ts";
import { Fleet } from "./fleet.ts";

const PATIENCE_MS = 40_000;
/** Stopping waits a second for clients that do not answer, and then for nobody. */
const ENDS_MS = 10_000;
const upgradeAs = (id: string): string =>
  `GET /ws?id=${id} HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n` +
  "sec-websocket-version: 13\r\nsec-websocket-key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";

describe.each(RUNTIMES)("the process of a node on %s", (runtime) => {
  test("ends by itself after clients that were reset, asked half, or fell silent", async () => {
    await using fleet = await Fleet.start([runtime]);
    const [worker] = fleet.workers;
    if (worker === undefined) throw new Error("no node has started");
    const connections = [upgradeAs("reset"), upgradeAs("silent"), "GET /ws HTTP/1.1\r\nho", ""].map(
      (beginning) => {
        const connection = net.connect({ port: worker.port, host: "127.0.0.1", allowHalfOpen: true });
        connection.on("error", () => undefined);
        connection.resume();
        connection.write(beginning);
        return connection;
      },
    );
    const total = async (): Promise<number> => (await worker.view()).connections.total;
    // The fleet has a client of its own at each node.
    await fleet.until("two more are connected", async () => await total() === 3);
    connections[0]?.resetAndDestroy();
    await fleet.until("the reset one is gone", async () => await total() === 2);
    const stoppedAt = performance.now();
    await worker.leave();
    expect(performance.now() - stoppedAt).toBeLessThan(ENDS_MS);
    expect(worker.log.lines("kept ")).toEqual([]);
    expect(worker.log.held("stopped")).toMatchObject({ timers: 0, listeners: 0 });
    for (const connection of connections) connection.destroy();
  }, PATIENCE_MS);
});
