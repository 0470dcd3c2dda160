//! The head of a bundle: which commits it brings under which names. What comes out of a container is read here, by a
//! few bounded lines, before git sees the rest.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;

use super::{GitError, Sha};

/// Longest head of a bundle, in bytes: a line for the branch, and one for each commit it builds on.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// How bundles begin that git writes now: of objects by SHA-1, and of all else.
const SIGNATURES: [&str; 2] = ["# v2 git bundle", "# v3 git bundle"];

/// Opens the bundle at `path` where its objects begin, and says which commit it brings as `reference`; `None` for an
/// empty file, which is no commit at all.
pub(super) fn open(path: &Path, reference: &str, bytes_max: u64) -> Result<Option<(File, Sha)>, GitError> {
    let unreadable = |error: io::Error| GitError::Failed { what: "read a bundle".into(), why: error.to_string() };
    let mut file = File::open(path).map_err(unreadable)?;
    let size = file.metadata().map_err(unreadable)?.len();
    if size == 0 {
        return Ok(None);
    }
    if size > bytes_max {
        return Err(refused(format!("the commits take {size} bytes, and {bytes_max} is the most")));
    }
    let mut start = Vec::new();
    (&mut file).take(HEAD_BYTES_MAX as u64).read_to_end(&mut start).map_err(unreadable)?;
    let end = start.windows(2).position(|pair| pair == b"\n\n").ok_or_else(|| refused("it is no bundle of git's"))?;
    let sha = commit_of(&String::from_utf8_lossy(&start[..end]), reference)?;
    file.seek(SeekFrom::Start(end as u64 + 2)).map_err(unreadable)?;
    Ok(Some((file, sha)))
}

fn commit_of(head: &str, reference: &str) -> Result<Sha, GitError> {
    let mut lines = head.lines();
    if !lines.next().is_some_and(|first| SIGNATURES.contains(&first)) {
        return Err(refused("it is no bundle of git's"));
    }
    let named = lines.filter_map(|line| line.split_once(' ')).find(|(_, name)| *name == reference);
    let (sha, _) = named.ok_or_else(|| refused(format!("it does not bring {reference}")))?;
    sha.parse()
}

fn refused(why: impl Into<String>) -> GitError {
    GitError::Refused { why: why.into() }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_named_branch_is_found_and_nothing_else_is_taken_for_it() {
        let (one, two) = ("1".repeat(40), "2".repeat(40));
        let head = format!("# v2 git bundle\n-{two} a base\n{two} refs/heads/main\n{one} refs/heads/agent/7");
        assert_eq!(commit_of(&head, "refs/heads/agent/7").unwrap().as_str(), one);
        assert!(commit_of(&head, "refs/heads/agent/8").is_err());
        assert!(commit_of(&head, "a base").is_err(), "what it builds on is not what it brings");
        assert!(commit_of(&format!("{one} refs/heads/agent/7"), "refs/heads/agent/7").is_err());
    }

    #[test]
    fn what_is_too_large_or_no_bundle_is_refused_unread() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.bundle");
        std::fs::write(&path, "").unwrap();
        assert!(open(&path, "refs/heads/a", 10).unwrap().is_none());
        std::fs::write(&path, "x".repeat(11)).unwrap();
        assert!(open(&path, "refs/heads/a", 10).unwrap_err().to_string().contains("10 is the most"));
        assert!(open(&path, "refs/heads/a", 11).unwrap_err().to_string().contains("no bundle"));
    }
}
