//! A maintainer's word that an issue may be worked on, and the text that it was said of.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Timestamp;

/// The SHA-256 of a title and a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContentDigest(pub [u8; 32]);

impl ContentDigest {
    /// The digest of what people read: blanks at the ends and the kind of line ends make no difference.
    pub fn of(title: &str, body: &str) -> Self {
        let mut digest = Sha256::new();
        for text in [title, body] {
            let text = text.trim().replace("\r\n", "\n");
            // The length first, so that no text can pass for the end of one and the beginning of the other.
            digest.update((text.len() as u64).to_be_bytes());
            digest.update(text.as_bytes());
        }
        Self(digest.finalize().into())
    }
}

/// Who approved an issue, how, and as it read then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalRecord {
    /// Who: a GitHub login, or what an operator is called.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// By which label; `None` for an operator's word.
    pub label: Option<String>,
    /// What was approved; `None` where it cannot be told any more, so that nothing passes for it.
    pub content: Option<ContentDigest>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_people_read_counts_and_no_sign_of_it_can_be_moved() {
        let digest = ContentDigest::of("Title", "One\ntwo");
        assert_eq!(digest, ContentDigest::of(" Title ", "One\r\ntwo\n"));
        for (title, body) in [("Title", "One\ntwo!"), ("title", "One\ntwo"), ("TitleOne", "two"), ("Title", "One two")]
        {
            assert_ne!(digest, ContentDigest::of(title, body), "{title:?} {body:?}");
        }
    }
}
