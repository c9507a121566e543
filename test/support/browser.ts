/** A browser for tests, on Node: in `*.mixed.test.ts` only. */
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import process from "node:process";
import { chromium, type Page } from "playwright-core";

const START_MS_MAX = 30_000;

/** With `npm test -- --without-browser` what needs a browser is skipped, and the skips are counted. */
export const withoutBrowser: boolean = process.env["FLOTILLA_WITHOUT_BROWSER"] === "1";

const ARGS: readonly string[] = [
  // Nothing outside this machine is asked for, whatever a page or the browser itself would like.
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
  "--no-proxy-server",
  // It shows our own pages only, and root, as in a container, could not start it with one.
  "--no-sandbox",
];

export interface BrowserPage {
  readonly page: Page;
  /** What its scripts threw and caught not, and what the browser complained about. */
  readonly complaints: readonly string[];
}

export interface TestBrowser extends AsyncDisposable {
  /** A page with storage of its own, when it has loaded. */
  open(url: string): Promise<BrowserPage>;
}

/**
 * Starts Chromium without a window: Debian's, which `npm test` has installed, or the one that CHROMIUM_PATH names.
 * It ends with its object, with this process, and, since they talk over a pipe, also when this process is killed.
 */
export async function openBrowser(): Promise<TestBrowser> {
  const browser = await chromium.launch({
    executablePath: process.env["CHROMIUM_PATH"] ?? installedChromium(),
    args: [...ARGS],
    timeout: START_MS_MAX,
  });
  return {
    async open(url) {
      const context = await browser.newContext();
      const page = await context.newPage();
      const complaints: string[] = [];
      page.on("pageerror", (error) => complaints.push(error.message));
      page.on("console", (message) => {
        if (message.type() === "error") complaints.push(message.text());
      });
      await page.goto(url);
      return { page, complaints };
    },
    [Symbol.asyncDispose]: () => browser.close(),
  };
}

/** The path of the program `chromium`, which playwright does not look for by itself. */
function installedChromium(): string {
  const found = (process.env["PATH"] ?? "").split(delimiter).map((folder) => join(folder, "chromium")).find(
    (path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    },
  );
  if (found !== undefined) return found;
  throw new Error(
    "these tests need chromium: npm test installs it, CHROMIUM_PATH names another one, and " +
      "npm test -- --without-browser skips them",
  );
}
