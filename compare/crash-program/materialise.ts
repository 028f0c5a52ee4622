/** Makes a real folder of a disk image, for programs that want files. */
import { closeSync, ftruncateSync, mkdirSync, openSync, rmSync, symlinkSync, writeSync } from "node:fs";
import { join } from "node:path";
import { type DiskImage, FileImage } from "../lab/disk-image.ts";
import { PAGE_BYTES, type Page } from "../lab/page-store.ts";
import type { FileTree } from "./file-tree.ts";

/**
 * Makes `folder` hold exactly what is in `image`, and the symbolic links of `links`: nothing that the record follows makes
 * or removes those. Pages of zeros become holes.
 */
export function materialise(image: DiskImage, links: FileTree, folder: string): void {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  for (const [path, file] of image.entries) if (file === undefined) mkdirSync(join(folder, path), { recursive: true });
  for (const [path, file] of image.entries) {
    if (file instanceof FileImage) writeImage(join(folder, path), file, image.store.zero);
  }
  for (const { path, node } of links.walk()) {
    if (node.kind === "link") symlinkSync(node.target, join(folder, path));
  }
}

function writeImage(path: string, file: FileImage, zero: Page): void {
  const descriptor = openSync(path, "w");
  try {
    for (const [index, page] of file.pages.entries()) {
      if (page === zero) continue;
      const at = index * PAGE_BYTES;
      writeSync(descriptor, page.bytes, 0, Math.min(PAGE_BYTES, file.size - at), at);
    }
    ftruncateSync(descriptor, file.size);
  } finally {
    closeSync(descriptor);
  }
}
