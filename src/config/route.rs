//! The names on the way to a file: replacing any of them replaces the file.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::path::{Component, Path, PathBuf};

/// Most links followed on one way, as the kernel does (Linux: 40).
const LINK_COUNT_MAX: usize = 40;

/// Every folder, link and file that decides what `file` is, each in its real folder. Ends with the file
/// itself or with the first name that does not exist.
pub(super) fn names_on_the_way(file: &Path) -> Vec<PathBuf> {
    let absolute = std::path::absolute(file).unwrap_or_else(|_| file.to_owned());
    let mut ahead = steps(&absolute);
    let mut here = PathBuf::new();
    let mut names = Vec::new();
    let mut links = 0;
    while let Some(step) = ahead.pop_front() {
        match step {
            Step::Root(root) => here = root,
            Step::Up => {
                here.pop();
            }
            Step::Down(name) => {
                let path = here.join(name);
                names.push(path.clone());
                match std::fs::read_link(&path) {
                    Ok(target) if links < LINK_COUNT_MAX => {
                        links += 1;
                        ahead = steps(&target).into_iter().chain(ahead).collect();
                    }
                    _ if path.symlink_metadata().is_err() => break,
                    _ => here = path,
                }
            }
        }
    }
    names
}

enum Step {
    Root(PathBuf),
    Up,
    Down(OsString),
}

fn steps(path: &Path) -> VecDeque<Step> {
    let mut steps = VecDeque::new();
    let mut root = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Prefix(_) => root.push(component),
            Component::RootDir => {
                root.push(component);
                steps.push_back(Step::Root(root.clone()));
            }
            Component::CurDir => {}
            Component::ParentDir => steps.push_back(Step::Up),
            Component::Normal(name) => steps.push_back(Step::Down(name.to_owned())),
        }
    }
    steps
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_are_followed_name_by_name() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        std::fs::create_dir(root.join("v1")).unwrap();
        std::fs::write(root.join("v1/c.toml"), "").unwrap();
        symlink("v1", root.join("..data")).unwrap();
        symlink("..data/c.toml", root.join("c.toml")).unwrap();
        let names = names_on_the_way(&root.join("c.toml"));
        let below: Vec<_> = names.iter().filter_map(|name| name.strip_prefix(&root).ok()).collect();
        assert_eq!(below, ["", "c.toml", "..data", "v1", "v1/c.toml"].map(Path::new));
    }

    #[test]
    fn the_first_missing_name_is_the_last() {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().canonicalize().unwrap();
        let names = names_on_the_way(&root.join("not/here/yet.wasm"));
        assert_eq!(names.last(), Some(&root.join("not")));
    }

    #[test]
    fn a_link_to_itself_ends() {
        let scratch = tempfile::tempdir().unwrap();
        symlink("loop", scratch.path().join("loop")).unwrap();
        assert!(names_on_the_way(&scratch.path().join("loop")).len() < 200);
    }
}
