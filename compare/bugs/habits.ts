/** Bad habits of disks and of those who use them, as parts that several bugs share. */
import type { DiskFile } from "../../common/disk/disk.ts";
import { DiskFailure } from "../../common/errors.ts";
import type { MakeHabits } from "./bug.ts";

type Wanted = (path: string) => boolean;

/** The folder is not synced, or only sometimes: `wanted` says for which. */
export function withoutSyncDir(wanted: Wanted): MakeHabits {
  return () => ({
    syncDir(folder, disk) {
      if (!wanted(folder)) disk.syncDir(folder);
    },
  });
}

/** The sync of the folder that follows a rename to such a name is left out; with `syncsFile`, the file is synced instead. */
export function withoutSyncAfterRename(wanted: Wanted, syncsFile = false): MakeHabits {
  return () => {
    let renamed = "";
    return {
      rename(from, to, disk) {
        disk.rename(from, to);
        if (wanted(to)) renamed = to;
      },
      syncDir(folder, disk) {
        if (renamed === "") disk.syncDir(folder);
        else if (syncsFile) disk.open(renamed, "update").syncNow();
        renamed = "";
      },
    };
  };
}

/** A sync of such a file is answered, and not done. */
export function withoutSync(wanted: Wanted): MakeHabits {
  return (later) => ({
    sync(file, done) {
      if (wanted(file.path)) later(() => done(undefined));
      else file.sync(done);
    },
    syncNow(file) {
      if (!wanted(file.path)) file.syncNow();
    },
  });
}

/** What is to be replaced by renaming is written in place. */
export function inPlace(temporary: (path: string) => string | undefined): MakeHabits {
  return () => ({
    open: (path, _mode, disk) => disk.open(temporary(path) ?? path, temporary(path) === undefined ? _mode : "ensure"),
    rename(from, to, disk) {
      if (temporary(from) !== to) disk.rename(from, to);
    },
  });
}

/** One write in so many to such a file is done otherwise. */
export function everyNthWrite(
  wanted: Wanted,
  nth: number,
  write: (file: DiskFile, at: number, bytes: Uint8Array) => void,
): MakeHabits {
  return () => {
    let count = 0;
    return {
      write(file, at, bytes) {
        if (wanted(file.path) && ++count % nth === 0) write(file, at, bytes);
        else file.write(at, bytes);
      },
    };
  };
}

/** Bytes wait in the process until so many have gathered; no sync takes them along. The first `past` writes make the file. */
export function buffered(wanted: Wanted, sizeMax: number, past = 0): MakeHabits {
  return () => {
    let count = 0;
    const waiting = new Map<string, { at: number; bytes: Buffer }[]>();
    return {
      write(file, at, bytes) {
        if (!wanted(file.path) || ++count <= past) return file.write(at, bytes);
        const writes = waiting.get(file.path) ?? [];
        waiting.set(file.path, writes);
        writes.push({ at, bytes: Buffer.from(bytes) });
        if (writes.reduce((sum, one) => sum + one.bytes.length, 0) < sizeMax) return;
        for (const one of writes.splice(0)) file.write(one.at, one.bytes);
      },
      size: (file) =>
        Math.max(file.size(), ...(waiting.get(file.path) ?? []).map(({ at, bytes }) => at + bytes.length)),
    };
  };
}

/** Two writes under way at once: the second is done first. */
export function swappedWrites(wanted: Wanted): MakeHabits {
  return () => {
    let held: { file: DiskFile; at: number; bytes: Buffer } | undefined;
    const flush = (): void => {
      if (held !== undefined) held.file.write(held.at, held.bytes);
      held = undefined;
    };
    return {
      write(file, at, bytes) {
        if (!wanted(file.path)) file.write(at, bytes);
        else if (held === undefined) held = { file, at, bytes: Buffer.from(bytes) };
        else {
          file.write(at, bytes);
          flush();
        }
      },
      sync(file, done) {
        flush();
        file.sync(done);
      },
      syncNow(file) {
        flush();
        file.syncNow();
      },
      size: (file) => (held === undefined ? file.size() : Math.max(file.size(), held.at + held.bytes.length)),
    };
  };
}

/** A sync that begins when another has just ended is answered by it. */
export function creditedSync(wanted: Wanted): MakeHabits {
  return () => {
    let isEnding = false;
    return {
      sync(file, done) {
        if (wanted(file.path) && isEnding) return done(undefined);
        file.sync((failure) => {
          isEnding = true;
          done(failure);
          isEnding = false;
        });
      },
    };
  };
}

/** The n-th sync of such a file fails, and so do those after it for a while: the caller tries again until it hears "done". */
export function retriedSync(wanted: Wanted, nth: number): MakeHabits {
  return (later) => {
    let count = 0;
    // The kernel has dropped the dirty pages and reports the error once; the next fsync has nothing to do, and succeeds.
    const isDropped = (path: string): boolean => wanted(path) && ++count >= nth;
    return {
      sync(file, done) {
        if (isDropped(file.path)) later(() => done(undefined));
        else file.sync(done);
      },
      syncNow(file) {
        if (!isDropped(file.path)) file.syncNow();
      },
    };
  };
}

/** Every write goes to the end of such a file, wherever it was meant to go; what was to be cut stays. */
export function appending(wanted: Wanted): MakeHabits {
  return () => ({
    write(file, at, bytes) {
      file.write(wanted(file.path) ? Math.max(at, file.size()) : at, bytes);
    },
    truncate(file, size) {
      if (!wanted(file.path) || size === 0) file.truncate(size);
    },
  });
}

/** A failed write that nobody looks at. */
export function ignoredWrite(wanted: Wanted, nth: number): MakeHabits {
  return everyNthWrite(wanted, nth, () => {
    try {
      throw new DiskFailure("write", "", "ENOSPC");
    } catch {
      // That is the bug.
    }
  });
}
