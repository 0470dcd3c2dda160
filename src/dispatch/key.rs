//! The dispatcher's own key: what it knows its containers by, and what opens the doors of its agents.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

use anyhow::Context;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use crate::config::Secret;

/// Bytes of the key, as random as the system's best.
const KEY_BYTES: usize = 32;
/// Digits of a name made from it: 64 bits, which no two servers of one machine share.
const NAME_DIGITS: usize = 16;

/// Reads the key kept in `folder`, or makes one that only its owner can read.
pub(super) fn open(folder: &Path) -> anyhow::Result<Secret> {
    let path = folder.join("key");
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .with_context(|| format!("failed to make {} for the dispatcher", folder.display()))?;
    let mut fresh = [0; KEY_BYTES];
    fs::File::open("/dev/urandom").and_then(|mut random| random.read_exact(&mut fresh)).context("no random bytes")?;
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path);
    match made {
        Ok(mut file) => {
            file.write_all(hex::encode(fresh).as_bytes()).context("failed to write the dispatcher's key")?
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("failed to make {}", path.display())),
    }
    let kept = fs::read_to_string(&path).with_context(|| format!("failed to read {}", path.display()))?;
    anyhow::ensure!(kept.len() == 2 * KEY_BYTES, "{} is damaged: remove it while no run is under way", path.display());
    Ok(Secret::new(kept))
}

/// A name that tells this server from others; says nothing of the key.
pub(super) fn name_of(key: &Secret) -> String {
    made_of(key, "name")[..NAME_DIGITS].to_owned()
}

/// A password for one purpose.
pub(super) fn password(key: &Secret, purpose: &str) -> Secret {
    Secret::new(made_of(key, &format!("door {purpose}")))
}

fn made_of(key: &Secret, purpose: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(key.expose().as_bytes()).expect("HMAC takes keys of any length");
    mac.update(purpose.as_bytes());
    hex::encode(mac.finalize().into_bytes())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn the_key_is_made_once_for_its_owner_alone_and_each_purpose_has_its_own_password() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("dispatch");
        let key = open(&folder).unwrap();
        assert_eq!(open(&folder).unwrap(), key);
        assert_eq!(fs::metadata(folder.join("key")).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::metadata(&folder).unwrap().permissions().mode() & 0o777, 0o700);
        assert_ne!(password(&key, "a 1"), password(&key, "a 2"));
        assert!(!key.expose().contains(&name_of(&key)));
        fs::write(folder.join("key"), "short").unwrap();
        assert!(open(&folder).unwrap_err().to_string().contains("damaged"));
    }
}
