/**
 * Configuration: Redis-style directives. One table per part of the program (server, kv-aof, kv-wal); their union is
 * what a config file, the command line (`--name value`) and CONFIG GET/SET accept. Unknown names are refused.
 *
 * Names are lower case with "-"; "_" is the same letter (MySQL's custom), so `flush_log_at_trx_commit` works.
 */
import type { Bytes } from "./bytes.ts";

export interface Directive {
  readonly name: string;
  /** integer: decimal. memory: bytes with b/k/kb/m/mb/g/gb. boolean: yes/no. choice: one of `values`. text: anything. */
  readonly kind: "integer" | "memory" | "boolean" | "choice" | "text";
  /** As CONFIG GET prints it. */
  readonly default: string;
  /** False: only at start (CONFIG SET answers "can't set immutable config"). */
  readonly mutable: boolean;
  readonly values?: readonly string[];
  readonly min?: number;
  readonly max?: number;
  /** Other names for the same directive. */
  readonly aliases?: readonly string[];
  /** One sentence, for --help and the config file. */
  readonly summary: string;
}

export interface Config {
  readonly directives: readonly Directive[];
  /** The value as CONFIG GET prints it; the name must exist. */
  text(name: string): string;
  /** The value of an integer or memory directive. */
  number(name: string): number;
  /** The value of a boolean directive. */
  boolean(name: string): boolean;
  /** The directive of that name or alias, "_" and case folded. */
  find(name: string): Directive | undefined;
  /** Checks and sets several at once, all or none; throws CommandError with CONFIG SET's text. */
  set(pairs: readonly (readonly [name: Bytes, value: Bytes])[]): void;
  /** Calls `changed` after a successful set of that directive. */
  onChange(name: string, changed: () => void): void;
}
