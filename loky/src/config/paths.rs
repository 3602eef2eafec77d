//! Paths of settings, made absolute when an executor is built.

use std::path::{Component, Path, PathBuf};

use crate::error::{Error, ErrorKind, Result};

/// Makes a path independent of the present directory, and of directories that it leaves again by `..`.
///
/// The part up to the last `..` is resolved by the file system, since the directory before a `..` may be a symbolic link. The
/// part behind it stays as written, so a symbolic link there may change its target later. If that first part does not exist
/// now, the path keeps its `..`; the error appears when a worker starts.
pub(super) fn absolute(name: &str, path: &Path) -> Result<PathBuf> {
    let path = std::path::absolute(path).map_err(|error| {
        Error::io(ErrorKind::InvalidConfig, &format!("cannot make `{name}` absolute"), error)
    })?;
    let parts: Vec<_> = path.components().collect();
    let Some(last) = parts.iter().rposition(|part| *part == Component::ParentDir) else {
        return Ok(path);
    };
    let (left, kept) = parts.split_at(last + 1);
    let Ok(resolved) = left.iter().collect::<PathBuf>().canonicalize() else { return Ok(path) };
    Ok(resolved.join(kept.iter().collect::<PathBuf>()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(path: impl AsRef<Path>, expected: impl AsRef<Path>) {
        assert_eq!(absolute("current_dir", path.as_ref()).unwrap(), expected.as_ref());
    }

    #[test]
    fn path_becomes_absolute() {
        check("x", std::env::current_dir().unwrap().join("x"));
        check("/a/./b", "/a/b");
        let error = absolute("worker_exe", Path::new("")).unwrap_err();
        assert!(error.is_invalid_config() && error.to_string().contains("`worker_exe`"), "{error}");
    }

    #[test]
    fn parent_is_resolved_by_the_file_system() {
        let here = std::env::current_dir().unwrap();
        check("..", here.parent().unwrap());
        check("../no/such/folder", here.parent().unwrap().join("no/such/folder"));
        // The parent of the link's target, and not the folder of the link.
        let parent_of_target = here.join("src/..").canonicalize().unwrap();
        check("/proc/self/cwd/src/../x", parent_of_target.join("x"));
    }

    #[test]
    fn missing_directory_keeps_its_parent() {
        check("/no/such/../folder", "/no/such/../folder");
    }
}
