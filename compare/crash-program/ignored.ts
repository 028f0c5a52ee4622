/** Files that are left out of a record, as the user names them: `*-shm`, `cache/*`. */

/** True for what matches one of the globs, by its name or by its path, or is below a folder that does: it is not followed. */
export function isIgnored(globs: readonly string[], path: string): boolean {
  if (globs.length === 0) return false;
  const names = path.split("/");
  return globs.some((glob) => {
    const pattern = globPattern(glob);
    return names.some((name, index) => pattern.test(name) || pattern.test(names.slice(0, index + 1).join("/")));
  });
}

function globPattern(glob: string): RegExp {
  const escaped = glob.replace(/[.+^${}()|[\]\\]/g, "\\$&");
  return new RegExp(`^${escaped.replaceAll("*", ".*").replaceAll("?", ".")}$`);
}
