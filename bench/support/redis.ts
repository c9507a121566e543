/** A Redis of the bench's own: on loopback, on a free port, with nothing kept. */
import { spawn } from "node:child_process";
import { createServer } from "node:net";

const START_MS_MAX = 10_000;

export interface Redis extends AsyncDisposable {
  readonly url: string;
}

/** Undefined where `redis-server` (Debian: the package of that name) is not installed. */
export async function startRedis(): Promise<Redis | undefined> {
  const port = await freePort();
  const options = ["--bind", "127.0.0.1", "--port", `${port}`, "--save", "", "--appendonly", "no"];
  const child = spawn("redis-server", options, { stdio: ["ignore", "pipe", "ignore"] });
  const ended = new Promise<void>((resolve) => child.on("close", () => resolve()));
  const started = await new Promise<boolean>((resolve, reject) => {
    child.on("error", () => resolve(false));
    child.on("exit", () => reject(new Error(`start redis-server on port ${port}: it ended`)));
    setTimeout(() => reject(new Error(`start redis-server: not ready in ${START_MS_MAX} ms`)), START_MS_MAX)
      .unref();
    child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      if (text.includes("Ready to accept connections")) resolve(true);
    });
  });
  if (!started) return undefined;
  return {
    url: `redis://127.0.0.1:${port}`,
    async [Symbol.asyncDispose]() {
      child.kill("SIGTERM");
      await ended;
    },
  };
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once("error", reject).listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address !== null ? address.port : 0));
    });
  });
}
