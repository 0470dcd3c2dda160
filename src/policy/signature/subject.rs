//! What a signature is of: bytes, or a statement about them.

use std::fmt;

use serde_json::Value;
use sigstore_verify::types::{Bundle, HashAlgorithm, Sha256Hash, SignatureContent, Statement};

use super::quoted;

/// What a signed statement of an artefact is.
pub(super) const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";
/// What `cosign sign` states of an artefact in a registry. Other statements (that it was scanned, how it was built)
/// are signed too, and are no approval.
pub(super) const SIGNED_PREDICATE: &str = "https://sigstore.dev/cosign/sign/v1";

/// What a signature says it is of.
pub(super) enum Subject {
    Message(Option<Vec<u8>>),
    Statement(Statement),
}

impl Subject {
    /// That of a bundle.
    ///
    /// # Errors
    /// Why it is of nothing that this server knows.
    pub(super) fn of(bundle: &Bundle) -> Result<Self, String> {
        match &bundle.content {
            SignatureContent::MessageSignature(message) => {
                let digest = message.message_digest.as_ref().filter(|it| it.algorithm == HashAlgorithm::Sha2256);
                Ok(Self::Message(digest.map(|it| it.digest.as_bytes().to_vec())))
            }
            SignatureContent::DsseEnvelope(envelope) => {
                if envelope.payload_type != STATEMENT_TYPE {
                    return Err(format!("is of {:?}, and of no statement", quoted(&envelope.payload_type)));
                }
                let statement: Statement = serde_json::from_slice(envelope.payload.as_bytes())
                    .map_err(|error| format!("is of no statement that can be read: {error}"))?;
                Ok(Self::Statement(statement))
            }
            _ => Err("has a form that this server does not know".into()),
        }
    }

    /// What it states besides that it is signed; such a statement approves nothing.
    pub(super) fn attested(&self) -> Option<&str> {
        match self {
            Self::Statement(it) if it.predicate_type != SIGNED_PREDICATE => Some(&it.predicate_type),
            _ => None,
        }
    }

    /// Whether that is what has this digest.
    pub(super) fn is(&self, digest: &Sha256Hash) -> bool {
        match self {
            // Without a digest that we can compare, the signature itself decides.
            Self::Message(named) => named.as_ref().is_none_or(|named| named == digest.as_bytes()),
            Self::Statement(statement) => statement.matches_sha256(digest),
        }
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = match self {
            Self::Message(named) => named.as_ref().map(hex::encode),
            Self::Statement(it) => it.subject.first().and_then(|it| it.digest.sha256.as_ref()).map(Sha256Hash::to_hex),
        };
        write!(f, "SHA-256 {}", quoted(named.as_deref().unwrap_or("unknown")))
    }
}

/// Whether a bundle of a registry is one to keep: an attestation is none, and what is no JSON would hide those after
/// it. One that cannot be read is kept, so that it can be told.
pub(crate) fn may_be_signature(bundle: &[u8]) -> bool {
    let is_attestation = |bundle: Bundle| Subject::of(&bundle).is_ok_and(|it| it.attested().is_some());
    let value = serde_json::from_slice::<Value>(bundle);
    value.is_ok_and(|value| !serde_json::from_value(value).is_ok_and(is_attestation))
}
