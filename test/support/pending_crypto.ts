/** Counts the WebCrypto operations under way, so that virtual time can stand still until they end. */
let pending = 0;
let begun = 0;

const subtle = crypto.subtle as unknown as Record<string, (...parameters: unknown[]) => Promise<unknown>>;
for (
  const name of [
    "encrypt",
    "decrypt",
    "sign",
    "verify",
    "digest",
    "deriveBits",
    "generateKey",
    "importKey",
    "exportKey",
  ]
) {
  const original = (subtle[name] as (...parameters: unknown[]) => Promise<unknown>).bind(crypto.subtle);
  const counted = async (...parameters: unknown[]): Promise<unknown> => {
    pending++;
    begun++;
    try {
      return await original(...parameters);
    } finally {
      pending--;
    }
  };
  Object.defineProperty(crypto.subtle, name, { value: counted, configurable: true, writable: true });
}

/** How many operations have begun and not ended. */
export function pendingCrypto(): number {
  return pending;
}

/** How many operations have begun so far: what work costs, in a number that does not depend on the machine. */
export function cryptoOperations(): number {
  return begun;
}
