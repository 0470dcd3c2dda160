//! Who must have signed a component, as flags of a command.

use std::path::Path;

use clap::Args;
use issuecommand::config::Signer;

#[derive(Debug, Args)]
pub struct SignerArgs {
    /// Refuse it unless it is signed with this public key, in PEM
    #[arg(long, value_name = "FILE", conflicts_with_all = ["identity", "issuer", "trusted_root"])]
    key: Option<String>,
    /// Refuse it unless this identity signed it; `*` stands for any text without a slash
    #[arg(long, value_name = "IDENTITY", visible_alias = "certificate-identity", requires = "issuer")]
    identity: Option<String>,
    /// The OpenID provider that vouches for the identity
    #[arg(long, value_name = "URL", visible_alias = "certificate-oidc-issuer", requires = "identity")]
    issuer: Option<String>,
    /// Whom to trust instead of Sigstore's public instance: a trusted_root.json
    #[arg(long, value_name = "FILE", requires = "identity")]
    trusted_root: Option<String>,
}

impl SignerArgs {
    /// The signer who is asked for, if one is. Paths are relative to the working folder.
    pub fn signer(&self) -> Option<Signer> {
        match (self.key.clone(), self.identity.clone(), self.issuer.clone()) {
            (Some(key), ..) => Some(Signer::Key { key }),
            (None, Some(identity), Some(issuer)) => {
                Some(Signer::Identity { identity, issuer, trusted_root: self.trusted_root.clone() })
            }
            _ => None,
        }
    }
}

/// The same signer for a configuration in `folder`, to which paths are relative there.
pub fn seen_from(folder: &Path, signer: Signer) -> Signer {
    let seen = |path: String| {
        if folder == Path::new("") {
            return path;
        }
        std::path::absolute(&path).map_or(path, |path| path.display().to_string())
    };
    match signer {
        Signer::Key { key } => Signer::Key { key: seen(key) },
        Signer::Identity { identity, issuer, trusted_root } => {
            Signer::Identity { identity, issuer, trusted_root: trusted_root.map(seen) }
        }
    }
}
