/** Fresh copies of the repository and a plain web server, for the tests of how one gets the library. */
import { execFileSync, spawn } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, normalize } from "node:path";
import process from "node:process";
import { ROOT } from "./runtimes.ts";

export interface Folder extends AsyncDisposable {
  readonly path: string;
  /** Writes a file, with its folders; returns its path. */
  write(name: string, text: string): string;
}

/** An empty folder outside the repository, so that no package.json or node_modules is in reach. */
export function emptyFolder(): Folder {
  const path = mkdtempSync(join(tmpdir(), "flotilla-getting-"));
  return {
    path,
    write(name, text) {
      const file = join(path, name);
      mkdirSync(dirname(file), { recursive: true });
      writeFileSync(file, text);
      return file;
    },
    async [Symbol.asyncDispose]() {
      rmSync(path, { recursive: true, force: true });
    },
  };
}

/** What is committed, unpacked as a clone would have it: without node_modules. */
export function freshClone(): Folder {
  const folder = emptyFolder();
  const archive = execFileSync("git", ["archive", "HEAD"], { cwd: ROOT, maxBuffer: 256 * 1024 * 1024 });
  execFileSync("tar", ["-x", "-C", folder.path], { input: archive });
  return folder;
}

/** Lets a clone use the installed development packages, as `npm ci` in it would. */
export function shareNodeModules(clone: Folder): void {
  symlinkSync(join(ROOT, "node_modules"), join(clone.path, "node_modules"));
}

/** A program on a terminal, where somebody answers every question with yes. */
export interface OnTerminal extends AsyncDisposable {
  /** What the terminal has shown so far. */
  readonly output: string;
  /** How often it asked. */
  readonly questions: number;
}

const ANSWER_INTERVAL_MS = 200;

/** Runs `command` through `script` (util-linux), which gives it a terminal of its own. */
export function startOnTerminal(
  command: readonly string[],
  options: { cwd: string; env: Readonly<Record<string, string>> },
): OnTerminal {
  const line = command.map((word) => `'${word}'`).join(" ");
  const child = spawn(
    "script",
    ["--quiet", "--flush", "--return", "--command", `exec ${line}`, "/dev/null"],
    {
      cwd: options.cwd,
      env: { ...process.env, NO_COLOR: "1", SHELL: "/bin/sh", ...options.env },
      stdio: ["pipe", "pipe", "inherit"],
    },
  );
  const ended = new Promise((resolve) => child.once("exit", resolve));
  let output = "";
  const count = (text: string): number => output.split(text).length - 1;
  child.stdout.setEncoding("utf8").on("data", (text: string) => void (output += text));
  // Deno throws away what was typed before it listens, so an answer may have to be given again.
  const answering = setInterval(() => {
    if (count("Allow?") > count("Granted")) child.stdin.write("y\n");
  }, ANSWER_INTERVAL_MS);
  return {
    get output() {
      return output;
    },
    get questions() {
      return count("Allow?");
    },
    async [Symbol.asyncDispose]() {
      clearInterval(answering);
      // Its terminal goes with it, and so does what runs there.
      child.kill("SIGTERM");
      await ended;
    },
  };
}

const CONTENT_TYPES: Readonly<Record<string, string>> = {
  ts: "application/typescript",
  json: "application/json",
  mjs: "text/javascript",
  js: "text/javascript",
};

export interface WebServer extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly host: string;
}

/** Serves the files of a folder on loopback, and does nothing else. */
export async function serveFolder(folder: string): Promise<WebServer> {
  const server = createServer((request, response) => {
    const file = join(folder, normalize(new URL(request.url ?? "/", "http://host").pathname));
    const type = CONTENT_TYPES[file.split(".").at(-1) ?? ""];
    if (!file.startsWith(folder) || type === undefined || !existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    response.writeHead(200, { "content-type": type }).end(readFileSync(file));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    host: `127.0.0.1:${(server.address() as AddressInfo).port}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
