/**
 * Configuration: Redis-style directives. One table per part of the program (server, kv-aof, kv-wal); their union is
 * what a config file, the command line (`--name value`) and CONFIG GET/SET accept. Unknown names are refused.
 *
 * Names are lower case with "-"; "_" is the same letter (MySQL's custom), so `flush_log_at_trx_commit` works.
 */
import { assert, present } from "./assert.ts";
import { type Bytes, fromText, toBuffer } from "./bytes.ts";
import { CommandError, UsageError } from "./errors.ts";

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
  /** A further rule for the text as given: what is wrong with it, or undefined. */
  readonly check?: (text: string) => string | undefined;
  /** The text as CONFIG GET prints it, of one that passed `check`. */
  readonly canonical?: (text: string) => string;
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

/** Why a value is refused; the text goes behind "CONFIG SET failed (possibly related to argument 'x') - ". */
class BadValue extends Error {}

const MEMORY_UNITS: Readonly<Record<string, number>> = {
  "": 1,
  b: 1,
  k: 1000,
  kb: 1024,
  m: 1000 ** 2,
  mb: 1024 ** 2,
  g: 1000 ** 3,
  gb: 1024 ** 3,
};

function checkRange(directive: Directive, value: number): void {
  const min = directive.min ?? 0;
  const max = directive.max ?? Number.MAX_SAFE_INTEGER;
  if (value < min || value > max) throw new BadValue(`argument must be between ${min} and ${max} inclusive`);
}

function parseInteger(directive: Directive, text: string): string {
  if (!/^(0|-?[1-9][0-9]*)$/.test(text) || !Number.isSafeInteger(Number(text))) {
    throw new BadValue("argument couldn't be parsed into an integer");
  }
  checkRange(directive, Number(text));
  return text;
}

/** The bytes that a memory value means: "64", "10k", "1gb". Undefined for what is none. */
export function memoryBytes(text: string): number | undefined {
  const parts = /^([0-9]+)([a-z]*)$/i.exec(text);
  const unit = parts === null ? undefined : MEMORY_UNITS[parts[2]!.toLowerCase()];
  return unit === undefined ? undefined : Number(parts![1]) * unit;
}

function parseMemory(directive: Directive, text: string): string {
  const bytes = memoryBytes(text);
  if (bytes === undefined) throw new BadValue("argument must be a memory value");
  checkRange(directive, bytes);
  return String(bytes);
}

function parseChoice(directive: Directive, text: string): string {
  const values = directive.values ?? [];
  const value = values.find((candidate) => candidate.toLowerCase() === text.toLowerCase());
  if (value === undefined) throw new BadValue(`argument(s) must be one of the following: ${values.join(", ") || '""'}`);
  return value;
}

/** The value as CONFIG GET prints it; throws BadValue. */
function canonical(directive: Directive, text: string): string {
  const problem = directive.check?.(text);
  if (problem !== undefined) throw new BadValue(problem);
  switch (directive.kind) {
    case "integer":
      return parseInteger(directive, text);
    case "memory":
      return parseMemory(directive, text);
    case "boolean": {
      const value = text.toLowerCase();
      if (value !== "yes" && value !== "no") throw new BadValue("argument must be 'yes' or 'no'");
      return value;
    }
    case "choice":
      return parseChoice(directive, text);
    case "text":
      return directive.canonical?.(text) ?? text;
  }
}

function fold(name: string): string {
  return name.toLowerCase().replaceAll("_", "-");
}

/** Text of a CONFIG SET argument: configuration is Unicode, arguments are bytes. */
function decode(bytes: Bytes): string {
  return toBuffer(bytes).toString("utf8");
}

/** The directives of all parts of a program, with their values. */
export class DirectiveConfig implements Config {
  directives: readonly Directive[];
  #byName = new Map<string, Directive>();
  #texts = new Map<Directive, string>();
  /** Of integer and memory (bytes) directives, so that readers do not parse. */
  #numbers = new Map<Directive, number>();
  readonly #listeners = new Map<Directive, (() => void)[]>();

  /** `initial`: values that replace defaults, by name, as texts; a mistake in them is a `UsageError`. */
  constructor(tables: readonly (readonly Directive[])[], initial: Readonly<Record<string, string>> = {}) {
    this.directives = tables.flat();
    for (const directive of this.directives) {
      for (const name of [directive.name, ...(directive.aliases ?? [])]) {
        assert(!this.#byName.has(fold(name)), `config: one directive named ${name}`);
        this.#byName.set(fold(name), directive);
      }
      this.#store(directive, canonical(directive, directive.default));
    }
    for (const [name, value] of Object.entries(initial)) this.start(name, value, `--${name}`);
  }

  /** Another one with the same values, to which nobody listens yet: nothing is parsed again. */
  copy(): DirectiveConfig {
    const copy = new DirectiveConfig([]);
    copy.directives = this.directives;
    copy.#byName = this.#byName;
    copy.#texts = new Map(this.#texts);
    copy.#numbers = new Map(this.#numbers);
    return copy;
  }

  find(name: string): Directive | undefined {
    return this.#byName.get(name) ?? this.#byName.get(fold(name));
  }

  text(name: string): string {
    return this.#texts.get(this.#existing(name))!;
  }

  number(name: string): number {
    return present(this.#numbers.get(this.#existing(name)), `config: ${name} is a number`);
  }

  boolean(name: string): boolean {
    return this.text(name) === "yes";
  }

  /** Sets a directive before the program starts, mutable or not. `place` says where it stands: "--port", "x.conf, line 3". */
  start(name: string, value: string, place: string): void {
    const directive = this.find(name);
    if (directive === undefined) throw new UsageError(`${place}: unknown directive '${name}'`);
    try {
      this.#store(directive, canonical(directive, value));
    } catch (error) {
      if (!(error instanceof BadValue)) throw error;
      throw new UsageError(`${place}: ${directive.name} '${value}': ${error.message}`);
    }
  }

  set(pairs: readonly (readonly [name: Bytes, value: Bytes])[]): void {
    const checked = new Map<Directive, string>();
    for (const [name] of pairs) {
      if (this.find(decode(name)) === undefined) {
        throw new CommandError(`ERR Unknown option or number of arguments for CONFIG SET - '${name}'`);
      }
    }
    for (const [name, value] of pairs) {
      const directive = this.#existing(decode(name));
      try {
        if (!directive.mutable) throw new BadValue("can't set immutable config");
        if (checked.has(directive)) throw new BadValue("duplicate parameter");
        checked.set(directive, canonical(directive, decode(value)));
      } catch (error) {
        if (!(error instanceof BadValue)) throw error;
        throw new CommandError(
          `ERR CONFIG SET failed (possibly related to argument '${name}') - ${fromText(error.message)}`,
        );
      }
    }
    for (const [directive, value] of checked) this.#store(directive, value);
    for (const directive of checked.keys()) for (const changed of this.#listeners.get(directive) ?? []) changed();
  }

  onChange(name: string, changed: () => void): void {
    const directive = this.#existing(name);
    const listeners = this.#listeners.get(directive);
    if (listeners === undefined) this.#listeners.set(directive, [changed]);
    else listeners.push(changed);
  }

  #existing(name: string): Directive {
    return present(this.find(name), `config: there is a directive ${name}`);
  }

  #store(directive: Directive, value: string): void {
    this.#texts.set(directive, value);
    if (directive.kind === "integer" || directive.kind === "memory") this.#numbers.set(directive, Number(value));
  }
}
