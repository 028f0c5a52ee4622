/** Assertions that stay on in production. A broken one means the program is wrong: the process stops. */

export class AssertionError extends Error {
  constructor(message: string) {
    super(`assertion failed: ${message}`);
    this.name = "AssertionError";
  }
}

/** Stops unless `condition` holds. `message` names the rule, e.g. "I3: page LSN <= durable redo". */
export function assert(condition: boolean, message: string): asserts condition {
  if (!condition) throw new AssertionError(message);
}

/** The value that cannot be missing. */
export function present<T>(value: T | undefined | null, message: string): T {
  if (value === undefined || value === null) throw new AssertionError(message);
  return value;
}
