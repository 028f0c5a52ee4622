/**
 * What commands may see of their client and of the server around them. Implemented in common/server/.
 */
import type { Bytes } from "../bytes.ts";
import type { Config } from "../config.ts";

/** One client. */
export interface Session {
  readonly id: number;
  /** CLIENT SETNAME; "" when unset. */
  name: Bytes;
  /** Selects a database (0 <= index < databases). */
  select(index: number): void;
}

/** The server. */
export interface ServerView {
  readonly config: Config;
}
