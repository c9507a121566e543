/** What the surroundings know of the network: browsers do, others say nothing. */
import type { Unsubscribe } from "../lib/events.ts";

interface Browser {
  readonly navigator?: { readonly onLine?: boolean };
  addEventListener?(type: "online" | "offline", listener: () => void): void;
  removeEventListener?(type: "online" | "offline", listener: () => void): void;
}

const browser = globalThis as Browser;

/** False only where it is certain. */
export function isOnline(): boolean {
  return browser.navigator?.onLine !== false;
}

/** Calls `changed` when the machine has lost the network, or has it again. */
export function onNetworkChange(changed: () => void): Unsubscribe {
  if (browser.navigator?.onLine === undefined || browser.addEventListener === undefined) return () => {};
  browser.addEventListener("online", changed);
  browser.addEventListener("offline", changed);
  return () => {
    browser.removeEventListener?.("online", changed);
    browser.removeEventListener?.("offline", changed);
  };
}
