/** A disk on which the machine stops before an operation that the test chooses. */
import type { Disk, DiskFile, OpenMode } from "../../common/disk/disk.ts";
import type { MemoryDisk } from "../../common/disk/memory-disk.ts";

/** Thrown at the operation at which the machine stops. */
export class Crash extends Error {}

/** A disk that stops the machine before its n-th operation that changes anything. */
export class CrashingDisk implements Disk {
  readonly memory: MemoryDisk;
  left: number;
  constructor(memory: MemoryDisk, left: number) {
    this.memory = memory;
    this.left = left;
  }
  step(): void {
    if (this.left-- <= 0) throw new Crash();
  }
  open(path: string, mode: OpenMode): DiskFile {
    if (mode === "create" || (mode === "ensure" && !this.memory.exists(path))) this.step();
    const file = this.memory.open(path, mode);
    const step = () => this.step();
    return {
      path,
      size: () => file.size(),
      read: (at, into) => file.read(at, into),
      write(at, bytes) {
        step();
        file.write(at, bytes);
      },
      sync(done) {
        step();
        file.sync(done);
      },
      syncNow() {
        step();
        file.syncNow();
      },
      truncate(size) {
        step();
        file.truncate(size);
      },
      close: () => file.close(),
    };
  }
  exists = (path: string) => this.memory.exists(path);
  rename(from: string, to: string): void {
    this.step();
    this.memory.rename(from, to);
  }
  remove(path: string): void {
    this.step();
    this.memory.remove(path);
  }
  list = (folder: string) => this.memory.list(folder);
  makeDir(folder: string): void {
    this.step();
    this.memory.makeDir(folder);
  }
  syncDir(folder: string): void {
    this.step();
    this.memory.syncDir(folder);
  }
  lock = (path: string) => this.memory.lock(path);
}
