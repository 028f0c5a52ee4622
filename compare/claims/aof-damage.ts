/**
 * Damage to append-only files, by the names of the cases of claims A10, A13 and A15: done to kv-aof's disk (aof-recovery.ts)
 * and to redis-server's folder (originals/redis-claims.ts), which have the same files with the same commands in them.
 */
export const FIRST_INCREMENT = "appendonlydir/appendonly.aof.1.incr.aof";
export const SECOND_INCREMENT = "appendonlydir/appendonly.aof.2.incr.aof";
export const MANIFEST = "appendonlydir/appendonly.aof.manifest";

/** Three keys, the last two in a transaction. */
export const THREE_KEYS = [["SET", "a", "1"], ["MULTI"], ["SET", "b", "2"], ["SET", "c", "3"], ["EXEC"]] as const;

/** Files that can be harmed. */
export interface HarmedFiles {
  read(path: string): Buffer;
  write(path: string, bytes: Buffer): void;
  remove(path: string): void;
}

export type Damage = (files: HarmedFiles) => void;

function rewritten(path: string, change: (bytes: Buffer) => Buffer): Damage {
  return (files) => files.write(path, change(files.read(path)));
}

const inFirst = (change: (bytes: Buffer) => Buffer): Damage => rewritten(FIRST_INCREMENT, change);

function shortened(length: (bytes: Buffer) => number): Damage {
  return inFirst((bytes) => bytes.subarray(0, length(bytes)));
}

function replaced(text: string, by: string): Damage {
  return inFirst((bytes) => {
    const at = bytes.indexOf(text);
    if (at < 0) throw new Error(`there is no ${text} in the file`);
    return Buffer.concat([bytes.subarray(0, at), Buffer.from(by, "latin1"), bytes.subarray(at + text.length)]);
  });
}

const zeros = (bytes: Buffer): Buffer => Buffer.concat([bytes, Buffer.alloc(4096)]);
export const LAST_COMMAND_TORN = shortened(({ length }) => length - 3);
const LAST_VALUE_CHANGED = replaced("$1\r\n3\r\n", "$1\r\n9\r\n");

/** The only increment has THREE_KEYS. */
export const DAMAGE_TO_ONE = {
  "the file is whole": () => {},
  "its last command is torn": LAST_COMMAND_TORN,
  "EXEC is missing": shortened(({ length }) => length - 14),
  "a length in the middle is changed": replaced("$1\r\na", "$7\r\na"),
  "a byte of a value is changed": LAST_VALUE_CHANGED,
} satisfies Readonly<Record<string, Damage>>;

export const ZEROS_AT_END = {
  "behind a whole command": inFirst(zeros),
  "behind a torn command": inFirst((bytes) => zeros(bytes.subarray(0, bytes.length - 20))),
} satisfies Readonly<Record<string, Damage>>;

/** The first increment has THREE_KEYS, and a rewrite that never ended has left a second. */
export const DAMAGE_TO_TWO = {
  "the first increment is missing": (files) => files.remove(FIRST_INCREMENT),
  "it is cut inside a command": shortened(({ length }) => length - 30),
  "it is cut between two commands": shortened((bytes) => bytes.indexOf("*1\r\n$5\r\nMULTI")),
  "it is empty": shortened(() => 0),
  "a byte of a value in it is changed": LAST_VALUE_CHANGED,
  "the manifest has lost its line": rewritten(MANIFEST, (bytes) =>
    Buffer.from(bytes.toString("latin1").replace(/file .*\.1\.incr\.aof .*\n/, ""), "latin1"),
  ),
  "the second increment is missing": (files) => files.remove(SECOND_INCREMENT),
} satisfies Readonly<Record<string, Damage>>;
