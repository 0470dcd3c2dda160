//! Who must have signed a component.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// `signed_by` of a policy: without a valid signature by this signer it is not loaded. The words are those of
/// `cosign verify`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, try_from = "SignerPart")]
pub enum Signer {
    /// Who holds the private half of a key.
    Key {
        /// The public half, in PEM: a path relative to issuecommand.toml.
        key: String,
    },
    /// Who proved to an OpenID provider to be this one, and signed without a key to keep (Sigstore's "keyless").
    Identity {
        /// A workflow's address or an e-mail address, as the certificate has it. `*` stands for any text without
        /// a slash, as in `.../release.yml@refs/tags/*`.
        identity: String,
        /// The OpenID provider that vouched for the identity.
        issuer: String,
        /// Whom to trust, as `trusted_root.json`: a path relative to issuecommand.toml. Sigstore's public
        /// instance, as this version of the server knows it, without one.
        #[serde(skip_serializing_if = "Option::is_none")]
        trusted_root: Option<String>,
    },
}

/// What may stand in the table, before it is known to make sense together.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SignerPart {
    key: Option<String>,
    identity: Option<String>,
    issuer: Option<String>,
    trusted_root: Option<String>,
}

impl TryFrom<SignerPart> for Signer {
    type Error = &'static str;

    fn try_from(part: SignerPart) -> Result<Self, Self::Error> {
        let is_empty = |text: &Option<String>| text.as_ref().is_some_and(|text| text.trim().is_empty());
        match part {
            SignerPart { key, identity, issuer, trusted_root }
                if [&key, &identity, &issuer, &trusted_root].into_iter().any(is_empty) =>
            {
                Err("a signer's key, identity, issuer and trusted_root are not empty: leave out what is not meant")
            }
            SignerPart { key: Some(key), identity: None, issuer: None, trusted_root: None } => Ok(Self::Key { key }),
            SignerPart { key: None, identity: Some(identity), issuer: Some(issuer), trusted_root } => {
                Ok(Self::Identity { identity, issuer, trusted_root })
            }
            _ => Err("a signer is { key = \"team.pub\" }, or { identity = \"...\", issuer = \"...\" } with or \
                      without trusted_root"),
        }
    }
}

impl Signer {
    /// The file it is known by, if any: the public key, or the trusted root. `folder` is what paths are relative to.
    pub fn path(&self, folder: &Path) -> Option<PathBuf> {
        match self {
            Self::Key { key } => Some(folder.join(key)),
            Self::Identity { trusted_root, .. } => trusted_root.as_ref().map(|path| folder.join(path)),
        }
    }

    /// The same signer as flags of `issuecommand policy pull` and `inspect`, to be pasted into a shell.
    pub fn flags(&self) -> String {
        match self {
            Self::Key { key } => format!("--key {}", in_shell(key)),
            Self::Identity { identity, issuer, trusted_root } => {
                let root = trusted_root.as_ref().map(|path| format!(" --trusted-root {}", in_shell(path)));
                let root = root.unwrap_or_default();
                format!("--identity {} --issuer {}{root}", in_shell(identity), in_shell(issuer))
            }
        }
    }
}

impl fmt::Display for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key { key } => write!(f, "the key {key}"),
            Self::Identity { identity, issuer, .. } => write!(f, "{identity} (issuer {issuer})"),
        }
    }
}

/// A text as one word of a shell's command.
pub fn in_shell(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"./:@_-+=,%".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_signer_is_a_key_or_an_identity_with_its_issuer_and_nothing_in_between() {
        let read = |text: &str| toml::from_str::<Signer>(text);
        assert_eq!(read("key = 'team.pub'").unwrap(), Signer::Key { key: "team.pub".into() });
        let by_identity = read("identity = 'a@b.example'\nissuer = 'https://c.example'").unwrap();
        assert_eq!(by_identity.flags(), "--identity a@b.example --issuer https://c.example");
        let odd =
            read("identity = '*@b.example'\nissuer = 'https://c.example?a&b'\ntrusted_root = \"it's; here\"").unwrap();
        let flags = r"--identity '*@b.example' --issuer 'https://c.example?a&b' --trusted-root 'it'\''s; here'";
        assert_eq!(odd.flags(), flags);
        assert_eq!(Signer::Key { key: "my keys/$HOME.pub".into() }.flags(), "--key 'my keys/$HOME.pub'");
        for text in ["", "identity = 'a'", "issuer = 'a'", "key = 'a'\nissuer = 'b'", "key = 'a'\ntrusted_root = 'b'"] {
            let error = read(text).unwrap_err().to_string();
            assert!(error.contains("a signer is { key = \"team.pub\" }"), "{text}: {error}");
        }
        assert!(read("key = ' '").unwrap_err().to_string().contains("not empty"));
        assert!(read("keys = 'a'").unwrap_err().to_string().contains("unknown field"));
    }

    #[test]
    fn a_signer_is_written_as_it_is_read() {
        for text in ["key = \"team.pub\"\n", "identity = \"a\"\nissuer = \"b\"\ntrusted_root = \"c\"\n"] {
            assert_eq!(toml::to_string(&toml::from_str::<Signer>(text).unwrap()).unwrap(), text);
        }
    }
}
