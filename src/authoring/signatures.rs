//! Who signed a policy: its signatures in a registry, where `cosign sign` puts them, and those beside a file, where
//! `cosign sign-blob` and `issuecommand policy pull` put them.

use std::io;
use std::path::Path;
use std::pin::Pin;
use std::task::{Context, Poll};

use oci_client::Reference;
use oci_client::client::Client;
use oci_client::errors::OciDistributionError;
use oci_client::manifest::OCI_IMAGE_MEDIA_TYPE;
use oci_client::secrets::RegistryAuth;
use sha2::{Digest, Sha256};
use tokio::io::AsyncWrite;

use super::AuthoringError;
use super::registry::text_of;
use crate::config::Signer;
use crate::policy::Signed;
use crate::policy::signature::{Component, EVIDENCE_BYTES_MAX, Evidence, SIGNATURE_COUNT_MAX, Trust, may_be_signature};

/// What the media type of a bundle begins with; a version follows.
const BUNDLE_MEDIA_TYPE_START: &str = "application/vnd.dev.sigstore.bundle";
/// Most referrers of one artefact that are looked at: signatures are among attestations and bills of material.
const REFERRER_COUNT_MAX: usize = 64;
/// Most bundles of one artefact that are fetched, whatever they prove to be.
const LAYER_COUNT_MAX: usize = 64;

/// The signatures of an artefact, and what they are of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signatures {
    /// The bundles, in JSON, each on its line.
    pub bundles: Vec<u8>,
    /// The artefact's manifest, to the byte.
    pub manifest: Vec<u8>,
}

/// What a registry has of signatures of one artefact.
pub(super) struct Found {
    pub(super) signatures: Option<Signatures>,
    /// Why there may be more: what could not be read, or was not looked at.
    pub(super) unread: Option<String>,
}

/// Bundles while they are collected.
#[derive(Default)]
struct Collected {
    bundles: Vec<u8>,
    kept_count: usize,
    layer_count: usize,
    unread: Option<String>,
}

/// Takes no more bytes than it has room for.
struct Bounded {
    bytes: Vec<u8>,
    bytes_max: usize,
}

impl Signatures {
    /// Those that a registry has for `artefact`, named by its digest. One that cannot be read is left out, and told.
    ///
    /// # Errors
    /// When the registry does not list them.
    pub(super) async fn fetch(
        client: &Client,
        auth: &RegistryAuth,
        artefact: &Reference,
    ) -> Result<Found, OciDistributionError> {
        // Not by type: some registries' lists do not have it right, and cosign's own list neither.
        let referrers = client.pull_referrers(artefact, None).await?.manifests;
        let referrers = referrers.into_iter().filter(|referrer| referrer.media_type == OCI_IMAGE_MEDIA_TYPE);
        let mut collected = Collected::default();
        for (index, referrer) in referrers.enumerate() {
            if index >= REFERRER_COUNT_MAX || !collected.has_room() {
                collected.unread.get_or_insert_with(not_all);
                break;
            }
            let referrer = artefact.clone_with_digest(referrer.digest);
            if let Err(error) = collected.add(client, auth, &referrer).await {
                collected.unread.get_or_insert_with(|| text_of(&error));
            }
        }
        let Collected { bundles, unread, .. } = collected;
        if bundles.is_empty() {
            return Ok(Found { signatures: None, unread });
        }
        let (manifest, _) = client.pull_manifest_raw(artefact, auth, &[OCI_IMAGE_MEDIA_TYPE]).await?;
        Ok(Found { signatures: Some(Self { bundles, manifest: manifest.to_vec() }), unread })
    }

    /// The signature of `component` by `signer`; `folder` is what the signer's paths are relative to.
    pub(super) fn proven(&self, component: &Component<'_>, signer: &Signer, folder: &Path) -> Result<Signed, String> {
        let trust = Trust::read(signer, folder)?;
        Evidence::new(&self.bundles, Some(self.manifest.clone())).proven(component, &trust)
    }
}

/// Who signed the component in `file`, by the signatures beside it. With a `signer` that one must have; without,
/// each signature says it of itself, and whether that is verified. `folder` is what the signer's paths are relative to.
///
/// # Errors
/// [`AuthoringError::Signature`] when `signer` did not sign it, or what lies beside the file cannot be read.
pub fn signed_by(
    file: &Path,
    component: &[u8],
    signer: Option<&Signer>,
    folder: &Path,
) -> Result<Vec<String>, AuthoringError> {
    let evidence = Evidence::beside(file).map_err(AuthoringError::Signature)?;
    let component = &Component::new(component, &hex::encode(Sha256::digest(component)));
    match (signer, evidence) {
        (None, evidence) => Ok(evidence.map(|evidence| evidence.claims(component)).unwrap_or_default()),
        (Some(signer), None) => Err(not_signed(&file.display().to_string(), signer, "there is no signature beside it")),
        (Some(signer), Some(evidence)) => {
            let proven = Trust::read(signer, folder).and_then(|trust| evidence.proven(component, &trust));
            let signed = proven.map_err(|why| not_signed(&file.display().to_string(), signer, &why))?;
            Ok(vec![signed.to_string()])
        }
    }
}

/// That `what` is refused, as its signatures are.
pub(super) fn not_signed(what: &str, signer: &Signer, why: &str) -> AuthoringError {
    AuthoringError::Signature(format!("{what} must be signed by {signer}, but {why}"))
}

impl Collected {
    /// The signatures in one referrer.
    async fn add(
        &mut self,
        client: &Client,
        auth: &RegistryAuth,
        referrer: &Reference,
    ) -> Result<(), OciDistributionError> {
        let (manifest, _) = client.pull_image_manifest(referrer, auth).await?;
        for layer in manifest.layers.iter().filter(|layer| layer.media_type.starts_with(BUNDLE_MEDIA_TYPE_START)) {
            // A line's end follows each.
            let bytes_max = EVIDENCE_BYTES_MAX as usize - self.bundles.len() - 1;
            let fits = usize::try_from(layer.size).is_ok_and(|bytes| bytes <= bytes_max);
            if !fits || !self.has_room() {
                self.unread.get_or_insert_with(not_all);
                continue;
            }
            self.layer_count += 1;
            let mut bundle = Bounded { bytes: Vec::new(), bytes_max };
            client.pull_blob(referrer, layer, &mut bundle).await?;
            if may_be_signature(&bundle.bytes) {
                self.kept_count += 1;
                self.bundles.extend(bundle.bytes);
                self.bundles.push(b'\n');
            }
        }
        Ok(())
    }

    fn has_room(&self) -> bool {
        let is_full = self.bundles.len() as u64 + 1 >= EVIDENCE_BYTES_MAX;
        !is_full && self.kept_count < SIGNATURE_COUNT_MAX && self.layer_count < LAYER_COUNT_MAX
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let bounded = self.get_mut();
        if bytes.len() > bounded.bytes_max - bounded.bytes.len() {
            let why = format!("the registry sent more than the {} bytes that it may", bounded.bytes_max);
            return Poll::Ready(Err(io::Error::other(why)));
        }
        bounded.bytes.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

fn not_all() -> String {
    format!(
        "at most {SIGNATURE_COUNT_MAX} signatures, with {EVIDENCE_BYTES_MAX} bytes together, in {LAYER_COUNT_MAX} \
         bundles of {REFERRER_COUNT_MAX} referrers are looked at, and the registry has more"
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn a_registry_that_sends_more_than_it_said_is_cut_off() {
        let mut bounded = Bounded { bytes: Vec::new(), bytes_max: 4 };
        bounded.write_all(b"abcd").await.unwrap();
        let error = bounded.write_all(b"e").await.unwrap_err().to_string();
        assert!(error.contains("more than the 4 bytes"), "{error}");
        assert_eq!(bounded.bytes, b"abcd");
    }

    #[test]
    fn no_more_is_asked_for_once_there_is_enough() {
        assert!(Collected::default().has_room());
        let of_bytes = |len| Collected { bundles: vec![b' '; len], ..Collected::default() };
        assert!(of_bytes(1000).has_room() && !of_bytes(EVIDENCE_BYTES_MAX as usize - 1).has_room());
        assert!(!Collected { kept_count: SIGNATURE_COUNT_MAX, ..Collected::default() }.has_room());
        assert!(!Collected { layer_count: LAYER_COUNT_MAX, ..Collected::default() }.has_room());
    }
}
