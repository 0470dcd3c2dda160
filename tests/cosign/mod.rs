//! Signs as cosign does, with a key of the test's own.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use sigstore_verify::crypto::KeyPair;

/// What a bundle is in a registry and in a file.
pub const BUNDLE_MEDIA_TYPE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";
const STATEMENT_TYPE: &str = "application/vnd.in-toto+json";

/// Who has a key.
pub struct Team {
    pair: KeyPair,
}

impl Team {
    pub fn new() -> Self {
        Self { pair: KeyPair::generate_ecdsa_p256().unwrap() }
    }

    /// `cosign.pub`.
    pub fn public_key(&self) -> String {
        self.pair.public_key_der().unwrap().to_pem()
    }

    /// `cosign sign-blob --key`: the bundle of a file.
    pub fn sign_blob(&self, bytes: &[u8]) -> String {
        let digest = json!({ "algorithm": "SHA2_256", "digest": STANDARD.encode(Sha256::digest(bytes)) });
        let signature = self.signature(bytes);
        self.bundle("messageSignature", json!({ "messageDigest": digest, "signature": signature }))
    }

    /// `cosign sign --key`: the bundle of an artefact in a registry, by the digest of its manifest.
    pub fn sign(&self, manifest_sha256: &str) -> String {
        let statement = json!({
            "_type": "https://in-toto.io/Statement/v1", "subject": [{ "digest": { "sha256": manifest_sha256 } }],
            "predicateType": "https://sigstore.dev/cosign/sign/v1", "predicate": {},
        });
        let payload = statement.to_string();
        // DSSE, protocol.md: what is signed is the type and the payload, each with its length before it.
        let signed = format!("DSSEv1 {} {STATEMENT_TYPE} {} {payload}", STATEMENT_TYPE.len(), payload.len());
        let envelope = json!({
            "payload": STANDARD.encode(&payload), "payloadType": STATEMENT_TYPE,
            "signatures": [{ "sig": self.signature(signed.as_bytes()) }],
        });
        self.bundle("dsseEnvelope", envelope)
    }

    fn signature(&self, bytes: &[u8]) -> String {
        STANDARD.encode(self.pair.sign(bytes).unwrap().as_bytes())
    }

    fn bundle(&self, content: &str, of: Value) -> String {
        let hint = STANDARD.encode(Sha256::digest(self.pair.public_key_der().unwrap().as_bytes()));
        let material = json!({ "publicKey": { "hint": hint } });
        json!({ "mediaType": BUNDLE_MEDIA_TYPE, "verificationMaterial": material, content: of }).to_string()
    }
}
