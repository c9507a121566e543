/** Randomness as an argument: `float` for jitter and choice, `bytes` for ids and nonces. */
export interface Random {
  /** Uniform in [0, 1). */
  float(): number;
  /** `length` fresh bytes. */
  bytes(length: number): Uint8Array<ArrayBuffer>;
}

/** The runtime's cryptographic generator. */
export const systemRandom: Random = {
  float: () => Math.random(),
  bytes: (length) => crypto.getRandomValues(new Uint8Array(length)),
};

/**
 * A reproducible generator for tests and simulations; never for secrets.
 * Algorithm: sfc32 (Chris Doty-Humphrey, PractRand), seeded through splitmix32.
 */
export function seededRandom(seed: number): Random {
  let mix = seed | 0;
  const splitmix = (): number => {
    mix = (mix + 0x9e3779b9) | 0;
    let z = mix ^ (mix >>> 16);
    z = Math.imul(z, 0x21f0aaad);
    z ^= z >>> 15;
    z = Math.imul(z, 0x735a2d97);
    return z ^ (z >>> 15);
  };
  let a = splitmix(), b = splitmix(), c = splitmix(), counter = 1;
  const next = (): number => {
    const sum = (a + b + counter) | 0;
    counter = (counter + 1) | 0;
    a = b ^ (b >>> 9);
    b = (c + (c << 3)) | 0;
    c = (((c << 21) | (c >>> 11)) + sum) | 0;
    return sum >>> 0;
  };
  for (let round = 0; round < 12; round++) next();
  return {
    float: () => next() / 4_294_967_296,
    bytes(length) {
      const out = new Uint8Array(length);
      for (let index = 0; index < length; index++) out[index] = next() & 0xff;
      return out;
    },
  };
}

/** A whole number in [0, below). */
export function randomBelow(random: Random, below: number): number {
  return Math.floor(random.float() * below);
}

/** `delayMs` scaled by a uniform factor in [0.5, 1.5): spreads retries that would otherwise meet. */
export function jittered(random: Random, delayMs: number): number {
  return delayMs * (0.5 + random.float());
}
